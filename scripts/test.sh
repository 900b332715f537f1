#!/usr/bin/env bash
# Install the package with everything its tests need, and run every check of the house:
# style, types, who imports whom, tests with doctests and branch coverage of the pure rooms.
#
# Needs Python 3.11 or later. Settings (environment):
#   PYTHON       the interpreter the virtual environment is made with (default python3)
#   LEGSEG_VENV  where the virtual environment goes (default .venv-test; kept for next time)
#   LEGSEG_TEST_PROCESSES  test processes (default 2; 0 tests in one, as --pdb needs it)
#   LEGSEG_TEST_CONTAINERS=auto  then build and test the container images and a Slurm, too, as far as
#                their tools are there or can be installed (scripts/test_containers.sh; 20 minutes)
# Arguments go to pytest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

venv=${LEGSEG_VENV:-.venv-test}
lock=requirements/lock-py311.txt
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
step() { printf '\n== %s\n' "$*"; }

step "virtual environment $venv"
"${PYTHON:-python3}" -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed")'
[ -x "$venv/bin/python" ] || "${PYTHON:-python3}" -m venv "$venv"
run() { "$venv/bin/$1" "${@:2}"; }

# PyTorch first and pinned: a range would be free to replace it by a larger CUDA build.
step "installing"
run pip install --quiet --disable-pip-version-check "$(grep '^torch==' "$lock")"
run pip install --quiet --disable-pip-version-check --constraint "$lock" --editable '.[test,train,tune,desk]'
# nnU-Net's architectures without what only others of that package need (timm, torchvision).
run pip install --quiet --disable-pip-version-check --no-deps "$(grep '^dynamic-network' "$lock")"

step "style";   run ruff check .; run ruff format --check .
step "types";   run mypy
step "imports"; run lint-imports --no-cache

# Two processes: most tests wait, for a browser, a server, or a process of their own.
step "tests"
run pytest --numprocesses "${LEGSEG_TEST_PROCESSES:-2}" --dist loadfile --cov --cov-config=pyproject.toml --cov-report=term "$@"

if [ "${LEGSEG_TEST_CONTAINERS:-}" = auto ]; then
  step "containers and cluster"
  PYTHON="$venv/bin/python" scripts/test_containers.sh --install
fi
