"""``python benchmarks/accuracy bands --atlas ATLAS --cache CACHE``: see ``--help``."""

import sys
from pathlib import Path

# Run as a folder, Python looks for modules in it; ours are those of a package of the repository.
sys.path[0] = str(Path(__file__).resolve().parents[2])

from benchmarks.accuracy.command import main  # noqa: E402 -- the path comes first

if __name__ == "__main__":
    sys.exit(main())
