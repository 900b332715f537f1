#!/bin/sh
# Install the locked dependencies into a virtual environment and make it small: what both the
# Dockerfile and Singularity.def run.
#
# Usage: install_in_image.sh LOCK VENV
# Needs Python 3.11 with pip, and network. Nothing is left behind but VENV.
set -eu
lock=$1 venv=$2

# pip stays outside: what runs needs none.
python3 -m venv --without-pip "$venv"
python3 -m pip --python "$venv/bin/python" --disable-pip-version-check --no-cache-dir install \
    --quiet --require-hashes --no-deps --only-binary :all: --no-compile -r "$lock"
packages=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')

# Tests, headers and what only a compiler or an editor reads.
find "$packages" -depth -type d \( -name tests -o -name include -o -name cmake \) \
    -not -path '*/torch/*' -not -path '*/nvidia/*' -exec rm -rf {} +
find "$packages" -type f \( -name '*.pyi' -o -name '*.pxd' -o -name '*.pyx' -o -name '*.c' \
    -o -name '*.js.map' \) -delete
# OpenVINO for the CPU and for ONNX; not for other processors, nor for other makers' networks.
for part in intel_gpu intel_npu gguf jax paddle pytorch tensorflow; do
    rm -f "$packages/openvino/libs/libopenvino_${part}_"*
done
rm -f "$packages/openvino/libs/cache.json"

# Byte code that is never checked against its source: nobody could write a newer one. Some packages
# ship a file for a later Python, which cannot be compiled.
python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash "$packages" || true

chmod -R a+rX,go-w "$venv"
