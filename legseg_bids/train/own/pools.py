"""Where trainings run beside each other: in this process, in others, or on a cluster.

All pools have one method: they call a function for each of some arguments, at most so many at
once, and give the results back as they come. Ray and Dask bring functions and arguments to other
machines, which need the package and the folders at the same places.
"""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

from legseg_bids.errors import UsageError

Argument = TypeVar("Argument")
Result = TypeVar("Result")

CLUSTERS = ("ray", "dask")
#: How long a scheduler may take to answer.
ANSWER_SECONDS = 30


class Pool(Protocol):
    """Calls functions beside each other."""

    def each(
        self, call: Callable[[Argument], Result], arguments: Sequence[Argument]
    ) -> Iterator[Result]:
        """Results as they come; what a call raises is raised here."""
        ...


class Here:
    """One after the other, in this process."""

    def each(
        self, call: Callable[[Argument], Result], arguments: Sequence[Argument]
    ) -> Iterator[Result]:
        """Results, each computed when it is asked for."""
        return map(call, arguments)


class _Submitting:
    """Pools that take a call now and give its result later."""

    at_once: int

    def submit(self, call: Callable[[Argument], Result], argument: Argument) -> Any:
        """Begin a call."""
        raise NotImplementedError

    def wait(self, begun: Sequence[Any]) -> Any:
        """One of the calls that have ended."""
        raise NotImplementedError

    def result(self, one: Any) -> Any:
        """What it returned; raises what it raised."""
        raise NotImplementedError

    def each(
        self, call: Callable[[Argument], Result], arguments: Sequence[Argument]
    ) -> Iterator[Result]:
        """Results as they come; a call begins when another has ended."""
        left, begun = list(arguments), list[Any]()
        while left or begun:
            while left and len(begun) < self.at_once:
                begun.append(self.submit(call, left.pop(0)))
            done = self.wait(begun)
            begun.remove(done)
            yield self.result(done)


class _Futures(_Submitting):
    """Processes of this machine."""

    def __init__(self, executor: Any, at_once: int) -> None:
        self.executor, self.at_once = executor, at_once

    def submit(self, call: Callable[[Argument], Result], argument: Argument) -> Any:
        """Begin a call."""
        return self.executor.submit(call, argument)

    def wait(self, begun: Sequence[Any]) -> Any:
        """One of the calls that have ended."""
        from concurrent.futures import FIRST_COMPLETED, wait

        return next(iter(wait(begun, return_when=FIRST_COMPLETED).done))

    def result(self, one: Any) -> Any:
        """What it returned; raises what it raised."""
        return one.result()


class _Dask(_Futures):
    """Workers of a Dask cluster."""

    def submit(self, call: Callable[[Argument], Result], argument: Argument) -> Any:
        """Begin a call."""
        # Not pure: the same point may be asked for again after a failure.
        return self.executor.submit(call, argument, pure=False)

    def wait(self, begun: Sequence[Any]) -> Any:
        """One of the calls that have ended."""
        import distributed

        wait: Any = distributed.wait
        return next(iter(wait(begun, return_when="FIRST_COMPLETED").done))


class _Ray(_Submitting):
    """Workers of a Ray cluster."""

    def __init__(self, ray: Any, at_once: int, needs: dict[str, float]) -> None:
        self.ray, self.at_once, self.needs = ray, at_once, needs

    def submit(self, call: Callable[[Argument], Result], argument: Argument) -> Any:
        """Begin a call."""
        return self.ray.remote(**self.needs)(call).remote(argument)

    def wait(self, begun: Sequence[Any]) -> Any:
        """One of the calls that have ended."""
        return self.ray.wait(list(begun), num_returns=1)[0][0]

    def result(self, one: Any) -> Any:
        """What it returned; raises what it raised."""
        try:
            return self.ray.get(one)
        except self.ray.exceptions.RayTaskError as error:
            raise error.cause from error


@contextmanager
def open_pool(cluster: str, at_once: int, device: str = "cpu") -> Iterator[Pool]:
    """Open a pool for as long as the block runs.

    Parameters
    ----------
    cluster : str
        Empty for this machine; ``ray`` or ``dask`` for one that is started here; with a colon and
        its address (for Dask also a scheduler file) for one that runs already.
    at_once : int
        Calls beside each other.
    device : str
        On a GPU, Ray is asked for one for each call.

    Raises
    ------
    UsageError
        If the package is not installed, or nothing answers at the address.
    """
    kind, _, address = cluster.partition(":")
    if kind and kind not in CLUSTERS:
        raise UsageError(
            f"--cluster is {cluster!r}; expected ray or dask, perhaps with :ADDRESS behind it"
        )
    if kind == "ray":
        with _ray(address, at_once, device) as pool:
            yield pool
    elif kind == "dask":
        with _dask(address, at_once) as pool:
            yield pool
    elif at_once > 1:
        with _processes(at_once) as pool:
            yield pool
    else:
        yield Here()


@contextmanager
def _processes(at_once: int) -> Iterator[Pool]:
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    # Forking a process that has run PyTorch hangs.
    with ProcessPoolExecutor(at_once, mp_context=get_context("spawn")) as executor:
        try:
            yield _Futures(executor, at_once)
        except BaseException:
            executor.shutdown(cancel_futures=True)
            raise


@contextmanager
def _dask(address: str, at_once: int) -> Iterator[Pool]:
    try:
        import distributed
    except ImportError as error:
        raise _not_installed("dask", "distributed") from error
    if not address:
        # No page that shows the cluster: it would listen on a port.
        options: dict[str, Any] = {"n_workers": at_once, "threads_per_worker": 1}
        options["dashboard_address"] = None
    elif address.endswith(".json"):
        if not Path(address).is_file():  # Dask would wait for it
            raise _no_answer(f"dask:{address}", FileNotFoundError("no such file"))
        options = {"scheduler_file": address}
    else:
        options = {"address": address}
    connect: Any = distributed.Client
    try:
        client = connect(**options, timeout=ANSWER_SECONDS)
    except (OSError, ValueError) as error:
        raise _no_answer(f"dask:{address}", error) from error
    with client:
        yield _Dask(client, at_once)


@contextmanager
def _ray(address: str, at_once: int, device: str) -> Iterator[Pool]:
    # Ray would report what it is used for; nobody was asked.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if not address:
        # Ray listens on every address, and whoever is let in may run anything: nobody is who does
        # not know this run's token, which Ray reads when it is imported.
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    try:
        import ray
    except ImportError as error:
        raise _not_installed("ray", "ray") from error
    options: dict[str, Any] = {"address": address}
    if not address:
        options = {"address": "local", "num_cpus": at_once, "include_dashboard": False}
    try:
        ray.init(**options, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise _no_answer(f"ray:{address}", error) from error
    needs = {"num_cpus": 1.0} | ({"num_gpus": 1.0} if device.startswith("cuda") else {})
    try:
        yield _Ray(ray, at_once, needs)
    finally:
        ray.shutdown()


def _not_installed(extra: str, package: str) -> UsageError:
    return UsageError(
        f"--cluster {extra} needs the package {package}, which is not installed; expected it; "
        f"pip install 'legseg-bids[{extra}]'"
    )


def _no_answer(cluster: str, error: Exception) -> UsageError:
    return UsageError(
        f"no cluster answers at {cluster}: {str(error).partition(chr(10))[0]}; expected a running "
        "one; start it, or leave out the address to start one here"
    )
