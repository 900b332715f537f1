"""Losses as recipes name them: ``"dice + 0.5 * focal(gamma=3)"``."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from torch import Tensor, nn

from legseg_bids.errors import UsageError
from legseg_bids.train.losses.border import border_cross_entropy
from legseg_bids.train.losses.overlap import dice, jaccard, log_dice, squared_dice, tversky
from legseg_bids.train.losses.truth import Truth
from legseg_bids.train.losses.voxelwise import cross_entropy, focal, masked_cross_entropy, top_k

Option = float | str | bool

#: Every loss that a recipe may name; options are the arguments after ``truth``.
LOSSES: Mapping[str, Callable[..., Tensor]] = MappingProxyType(
    {
        loss.__name__: loss
        for loss in (
            border_cross_entropy,
            cross_entropy,
            dice,
            focal,
            jaccard,
            log_dice,
            masked_cross_entropy,
            squared_dice,
            top_k,
            tversky,
        )
    }
)


@dataclass(frozen=True)
class Term:
    """One summand: a number times a loss with its options."""

    weight: float
    name: str
    options: Mapping[str, Option] = field(default_factory=dict)


class LossSum(nn.Module):
    """Weighted sum of losses.

    Parameters
    ----------
    spec : str
        As for :func:`parse_loss`.
    """

    def __init__(self, spec: str) -> None:
        super().__init__()
        self.terms = parse_loss(spec)

    def forward(
        self,
        logits: Tensor,
        labels: Tensor,
        known: Tensor | None = None,
        spacing: tuple[float, ...] | None = None,
    ) -> Tensor:
        """The sum, a scalar.

        Parameters
        ----------
        logits : Tensor, shape (n, classes, *axes)
        labels, known, spacing
            As in :class:`~legseg_bids.train.losses.truth.Truth`.
        """
        truth = Truth(labels, known, spacing)
        total = logits.new_zeros(())
        for term in self.terms:
            total = total + term.weight * LOSSES[term.name](logits, truth, **term.options)
        return total


def parse_loss(spec: str) -> tuple[Term, ...]:
    """Read a sum of losses. Nothing is evaluated: only these forms are understood.

    Parameters
    ----------
    spec : str
        Terms joined by ``+``; a term is ``name``, ``number * name`` or ``name * number``, and a
        name may have options: ``tversky(alpha=0.3, beta=0.7)``.

    Raises
    ------
    UsageError
        If it is anything else, or names a loss or an option that does not exist.

    Examples
    --------
    >>> parse_loss("dice + 0.5*cross_entropy")
    (Term(weight=1.0, name='dice', options={}), Term(weight=0.5, name='cross_entropy', options={}))
    """
    try:
        tree = ast.parse(spec.strip(), mode="eval").body
    except (SyntaxError, ValueError) as error:
        raise _unclear(spec, spec) from error
    return tuple(_term(node, spec) for node in _summands(tree))


def _summands(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return [*_summands(node.left), *_summands(node.right)]
    return [node]


def _term(node: ast.expr, spec: str) -> Term:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        left, right = node.left, node.right
        number, loss = (left, right) if isinstance(left, ast.Constant) else (right, left)
        weight = number.value if isinstance(number, ast.Constant) else None
        if isinstance(weight, int | float) and not isinstance(weight, bool):
            return Term(float(weight), *_loss(loss, spec))
        raise _unclear(ast.unparse(node), spec)
    return Term(1.0, *_loss(node, spec))


def _loss(node: ast.expr, spec: str) -> tuple[str, dict[str, Option]]:
    options: dict[str, Option] = {}
    if isinstance(node, ast.Call) and not node.args:
        options = {k.arg or "**": _value(k.value, spec) for k in node.keywords}
        node = node.func
    if not isinstance(node, ast.Name):
        raise _unclear(ast.unparse(node), spec)
    if node.id not in LOSSES:
        msg = f"unknown loss {node.id!r} in {spec!r}; expected one of {', '.join(LOSSES)}"
        raise UsageError(msg)
    allowed = list(inspect.signature(LOSSES[node.id]).parameters)[2:]
    for name in options:
        if name not in allowed:
            known = ", ".join(allowed) or "none"
            msg = f"loss {node.id!r} has no option {name!r} in {spec!r}; it has: {known}"
            raise UsageError(msg)
    return node.id, options


def _value(node: ast.expr, spec: str) -> Option:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float | str):
        return node.value
    raise _unclear(ast.unparse(node), spec)


def _unclear(part: str, spec: str) -> UsageError:
    return UsageError(
        f"cannot read {part!r} in the loss {spec!r}; expected a sum such as "
        "'dice + 0.5*focal(gamma=2)'"
    )
