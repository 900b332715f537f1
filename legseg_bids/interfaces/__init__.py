"""One nipype interface for each step of the way from an image to its derivatives."""

import os
import sys

# nipype asks a server for news when it is imported, unless it is told not to.
os.environ.setdefault("NO_ET", "1")
os.environ.setdefault("NIPYPE_NO_ET", "1")

# OpenVINO reports its import to its maker, and writes into the home folder, if it finds this
# package; None makes the import of it fail, which OpenVINO takes calmly.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
