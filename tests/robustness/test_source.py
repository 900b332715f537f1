"""What the package's own source may not do: run what it reads, or pass data to a shell."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*(ROOT / "legseg_bids").rglob("*.py"), ROOT / "run.py"])

FORBIDDEN_IMPORTS = {
    "pickle", "cPickle", "marshal", "shelve", "dill", "joblib", "cloudpickle", "jsonpickle",
    "requests", "urllib3", "http.client", "http.server", "ftplib", "smtplib", "telnetlib",
    "xmlrpc", "aiohttp", "httpx",
    "imp", "code", "codeop", "pty",
}  # fmt: skip
FORBIDDEN_NAMES = {"eval", "exec", "compile", "__import__", "breakpoint", "input"}
FORBIDDEN_CALLS = {
    "os.system", "os.popen", "yaml.load", "yaml.unsafe_load", "yaml.full_load",
    "subprocess.getoutput", "subprocess.getstatusoutput", "urllib.request.urlopen",
    "tempfile.mktemp", "np.fromregex", "pd.read_pickle", "pd.eval",
}  # fmt: skip


def dotted(node: ast.expr) -> str:
    """``a.b.c`` of an expression, as far as it is one."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def keyword(call: ast.Call, name: str) -> object:
    """Value of a keyword argument, if it is a constant."""
    found = (k.value for k in call.keywords if k.arg == name)
    return next((value.value for value in found if isinstance(value, ast.Constant)), None)


def imports(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and node.module else []


def faults(tree: ast.AST) -> Iterator[str]:
    """Every place where a source does what it may not."""
    for node in ast.walk(tree):
        for module in imports(node):
            if any(f"{module}.".startswith(f"{name}.") for name in FORBIDDEN_IMPORTS):
                yield f"line {node.lineno}: import of {module}"  # type: ignore[attr-defined]
        if not isinstance(node, ast.Call):
            continue
        name, last = dotted(node.func), dotted(node.func).rpartition(".")[2]
        if name in FORBIDDEN_NAMES | FORBIDDEN_CALLS or name.startswith("pickle."):
            yield f"line {node.lineno}: call of {name}"
        if keyword(node, "shell") is True:
            yield f"line {node.lineno}: {name} through a shell"
        if keyword(node, "allow_pickle") is True or keyword(node, "weights_only") is False:
            yield f"line {node.lineno}: {name} of a pickle"
        if name == "torch.load" and keyword(node, "weights_only") is not True:
            yield f"line {node.lineno}: torch.load without weights_only"
        if last in ("Loader", "UnsafeLoader", "FullLoader"):
            yield f"line {node.lineno}: YAML that runs code"


def test_there_are_sources() -> None:
    assert len(SOURCES) > 60


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_source_runs_what_it_reads(path: Path) -> None:
    assert list(faults(ast.parse(path.read_text(encoding="utf-8")))) == []


def test_a_checkpoint_is_only_read_where_networks_are_trained() -> None:
    """Restricted unpickling is still unpickling: the application must never come near it."""
    readers = {
        path.relative_to(ROOT).parts[1]
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and dotted(node.func) == "torch.load"
    }
    assert readers <= {"train"}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from urllib3.util import x",
        "from http.client import HTTPConnection",
        "eval('1')",
        "subprocess.run('ls', shell=True)",
        "np.load(p, allow_pickle=True)",
        "torch.load(p)",
        "torch.load(p, weights_only=False)",
        "yaml.load(p)",
        "os.system('ls')",
    ],
)
def test_faults_are_found(source: str) -> None:
    assert list(faults(ast.parse(source)))


@pytest.mark.parametrize(
    "source",
    ["network.eval()", "import http.cookies", "re.compile('x')", "yaml.safe_load(p)",
     "np.load(p, allow_pickle=False)", "torch.load(p, weights_only=True)",
     "subprocess.run(['ls'])"],
)  # fmt: skip
def test_what_is_allowed(source: str) -> None:
    assert list(faults(ast.parse(source))) == []
