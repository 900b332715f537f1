#!/usr/bin/env python3
"""Entry point of the container and of a checkout: ``./run.py BIDS_DIR OUTPUT_DIR participant``."""

import sys
from pathlib import Path

# From a checkout this file's folder comes first, so that its own package is run.
sys.path.insert(0, str(Path(__file__).resolve().parent))

from legseg_bids.cli.main import entry_point

if __name__ == "__main__":
    sys.exit(entry_point())
