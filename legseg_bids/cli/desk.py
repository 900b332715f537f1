"""``legseg-desk``: the application with a window, in a browser, on this machine alone."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

WORKSPACE = Path("~/legseg-desk")
HIGHEST_PORT = 65535


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    out = argparse.ArgumentParser(
        prog="legseg-desk",
        description="Segment leg muscles in a browser: choose images, run, look at the results, "
        "correct them. Everything stays on this machine; only you can open the page.",
    )
    out.add_argument(
        "--workspace",
        type=Path,
        default=WORKSPACE,
        metavar="DIR",
        help=f"folder for projects and results; made if need be (default: {WORKSPACE})",
    )
    out.add_argument(
        "--port", type=_port, default=0, metavar="N", help="on 127.0.0.1 (default: a free one)"
    )
    out.add_argument("--no-browser", action="store_true", help="print the address, open nothing")
    out.add_argument(
        "--models", type=Path, metavar="DIR", help="folder of the networks (default: as shipped)"
    )
    return out


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of ``legseg-desk``."""
    options = parser().parse_args(arguments)
    from legseg_bids.errors import LegsegError

    try:
        _serve(options)
    except LegsegError as error:
        print(f"legseg-desk: {error}", file=sys.stderr)
        return int(error.exit_code)
    return 0


def _serve(options: argparse.Namespace) -> None:
    """Serve the desk until Ctrl-C.

    Raises
    ------
    LegsegError
        If it cannot begin.
    """
    from legseg_bids.errors import UsageError

    try:
        import starlette
        import uvicorn
    except ImportError as error:
        raise UsageError(
            f"{error.name} is not installed; expected the packages of the extra 'desk'; install "
            "legseg-bids[desk]"
        ) from error
    del starlette, uvicorn
    from legseg_bids.desk.serve import serve
    from legseg_bids.segment.models import find_models_dir

    models = find_models_dir(options.models).absolute()
    serve(
        options.workspace.expanduser(),
        options.port,
        models,
        browser=not options.no_browser,
        say=_say,
    )


def _say(line: str) -> None:
    print(line, flush=True)


def _port(text: str) -> int:
    """A number of a port, or 0.

    Raises
    ------
    ArgumentTypeError
        If the text is none.
    """
    if not text.isascii() or not text.isdigit() or int(text) > HIGHEST_PORT:
        msg = f"{text!r}: expected a whole number from 0 to {HIGHEST_PORT}"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
