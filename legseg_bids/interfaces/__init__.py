"""One nipype interface for each step of the way from an image to its derivatives."""

import os

# nipype asks a server for news when it is imported, unless it is told not to.
os.environ.setdefault("NO_ET", "1")
os.environ.setdefault("NIPYPE_NO_ET", "1")
