#!/usr/bin/env bash
# Build the container images and start a Slurm, and run the tests that need them:
# tests/containers and tests/hpc. What cannot be done here is skipped; the last lines say why.
#
#   scripts/test_containers.sh [--install] [--keep DIR] [arguments of pytest]
#
#   --install   first install what is missing: podman, Apptainer and Slurm from Debian's packages
#               (only as root, and where there is apt-get), Dask from the package index
#   --keep DIR  work in DIR and leave images and logs there, so that the next call is faster;
#               without it, everything goes into a temporary folder, which is removed
#
# PYTHON needs the package's test requirements (scripts/test.sh makes one: .venv-test/bin/python).
# The base image is pulled; where there is no registry, one like it is made from Debian's packages.
# Engine, Slurm and Apptainer get settings of their own: nothing below /etc is changed.
#
# Exit code 1 if a test fails, or a build for which all is there; else 0, also if all is skipped.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

install='' keep='' pytest=()
while (($#)); do
  case $1 in
    --install) install=yes ;;
    --keep) keep=${2:?--keep needs a folder}; shift ;;
    -h | --help) sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "$0"; exit 0 ;;
    *) pytest+=("$1") ;;
  esac
  shift
done
python=${PYTHON:-.venv-test/bin/python}
python=$(command -v "$python") || { echo "no ${PYTHON:-$python}: run scripts/test.sh first" >&2; exit 2; }
base=$(sed -n 's/^ARG BASE=//p' Dockerfile)
image=legseg:test
failed=0 files=() summary=()

step() { printf '\n== %s (%d s)\n' "$*" "$SECONDS"; }
skip() { summary+=("skipped: $1: $2"); printf 'skipped: %s: %s\n' "$1" "$2"; }
tested() { summary+=("tested:  $*"); }
fail() { failed=1; summary+=("FAILED:  $*"); printf 'FAILED: %s\n' "$*"; }
has() { command -v "$1" >/dev/null; }
logged() { # logged NAME COMMAND...: quiet unless it fails
  local code=0
  "${@:2}" >"$work/$1.log" 2>&1 || code=$?
  ((code == 0)) || tail -n 15 "$work/$1.log"
  return "$code"
}

if [[ -n $keep ]]; then
  mkdir -p "$keep"; work=$(realpath "$keep")
else
  work=$(mktemp -d "${TMPDIR:-/var/tmp}/legseg-containers-XXXXXX")
fi
chmod 755 "$work" # Slurm's munge is another user
tidy_up() {
  stop_slurm
  [[ -z $keep ]] || return 0
  if has podman && [[ -d $work/storage ]]; then
    podman rm --all --force >/dev/null 2>&1 || :
    umount "$work/storage/overlay" 2>/dev/null || :
  fi
  rm -rf "$work" || :
}
trap tidy_up EXIT

# ------------------------------------------------------------------------------------ installing
install_tools() {
  if ((EUID)) || ! has apt-get; then
    echo 'nothing is installed: only root can, and only where there is apt-get'
    return
  fi
  logged update timeout 300 apt-get update --quiet || return 0
  packages podman podman runc mmdebstrap
  has slurmctld || packages slurm slurmctld slurmd slurm-client slurm-wlm-basic-plugins munge
  if ! has apptainer && ! has singularity; then
    logged apptainer timeout 300 scripts/install_apptainer.sh "$work/apptainer" || :
  fi
  logged dask timeout 300 "$python" -m pip install --quiet --upgrade --target "$work/dask" \
    dask distributed dask-jobqueue || :
}

packages() { # packages NAME PACKAGE...
  DEBIAN_FRONTEND=noninteractive logged "$1" \
    timeout 600 apt-get install --yes --quiet --no-install-recommends "${@:2}" || :
}

# ---------------------------------------------------------------------------------------- engine
# Engines ask for more open files than some machines allow even root, and for networks and control
# groups of their own, which the tests do not need. Builds get this machine's certificates and
# pip settings as mounts: nothing of them stays in the image. Runs get neither.
write_settings() {
  local limits=() key value number
  for key in nofile:-Hn nproc:-Hu; do
    number=$(ulimit "${key#*:}")
    [[ $key != nproc* ]] || number=$({ echo "$number"; cat /proc/sys/kernel/pid_max; } | sort -n | grep -m 1 '^[0-9]')
    [[ $number != *[!0-9]* ]] && limits+=("\"${key%:*}=$number:$number\"")
  done
  mkdir -p "$work/pip"
  {
    printf '[global]\n'
    for value in "${PIP_CERT:-}" "${SSL_CERT_FILE:-}" /etc/ssl/certs/ca-certificates.crt; do
      [[ -f $value ]] || continue
      cp -L "$value" "$work/pip/ca.crt"
      printf 'cert = /mnt/ca.crt\n'
      break
    done
    "$python" -m pip config list |
      sed -nE "s/^[^=]*\.(index-url|extra-index-url|proxy|timeout|trusted-host)='(.*)'$/\1 = \2/p" |
      grep -v file: || :
  } >"$work/pip/pip.conf"
  settings "$work/run.conf" ''
  settings "$work/build.conf" "\"$work/pip:/mnt:ro\", \"$work/pip/pip.conf:/etc/pip.conf:ro\""
  cat >"$work/storage.conf" <<END
[storage]
driver = "overlay"
graphroot = "$work/storage"
runroot = "$work/run"
END
  export CONTAINERS_STORAGE_CONF=$work/storage.conf CONTAINERS_CONF=$work/run.conf
}

settings() { # settings FILE VOLUMES; reads $limits
  cat >"$1" <<END
[containers]
default_ulimits = [$(IFS=,; echo "${limits[*]}")]
log_driver = "k8s-file"
netns = "host"
volumes = [$2]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
$(has runc && echo 'runtime = "runc"')
END
}

builds() { CONTAINERS_CONF=$work/build.conf "$@"; }

start_engine() { # sets $engine, or says why not
  engine=''
  if has podman; then
    engine=podman
  elif has docker && docker info >/dev/null 2>&1; then
    engine=docker
  else
    skip image 'neither podman nor a running Docker is here (--install installs podman)'
    return 1
  fi
  if ! "$engine" image inspect "$base" >/dev/null 2>&1 &&
    ! logged pull timeout 180 "$engine" pull --quiet "$base" && ! stand_in; then
    skip image "$base can neither be pulled nor made from Debian's packages"
    return 1
  fi
  if ! logged start timeout 120 "$engine" run --rm "$base" true; then
    skip image "$engine cannot start a container here"
    return 1
  fi
  local pin
  pin=$(sed -nE 's/^(nibabel==[^ ]*).*/\1/p' requirements/lock-image.txt)
  if ! logged index builds timeout 120 "$engine" run --rm "$base" \
    python3 -m pip download --quiet --no-deps --no-cache-dir --dest /tmp/wheel "$pin"; then
    skip image 'pip reaches no package index from inside a container'
    return 1
  fi
}

stand_in() {
  echo "no registry: making a stand-in for $base"
  has mmdebstrap || return 1
  local sources=()
  if grep -q VERSION_CODENAME=bookworm /etc/os-release; then
    for file in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do
      [[ ! -s $file || ${#sources[@]} -gt 0 ]] || sources=("$file")
    done
  fi
  # A virtual environment over /usr/local gives the public image's layout.
  # shellcheck disable=SC2016 # mmdebstrap puts the folder there
  logged base timeout 600 mmdebstrap --variant=minbase --include=ca-certificates,python3,python3-venv \
    --aptopt='APT::Install-Recommends "false"' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
    --customize-hook='chroot "$1" python3 -m venv /usr/local' \
    bookworm "$work/base.tar" "${sources[@]}" &&
    logged import "$engine" import --change 'CMD ["python3"]' \
      --change 'ENV PATH=/usr/local/bin:/usr/bin:/bin' "$work/base.tar" "$base"
}

build_image() {
  local code=0 begun=$SECONDS size
  logged build builds timeout 1800 "$engine" build --tag "$image" . || code=$?
  case $code in
    0) ;;
    124) skip image 'not built within 30 minutes'; return 1 ;;
    *) fail "image: $engine build, see above"; return 1 ;;
  esac
  size=$("$engine" image inspect --format '{{.Size}}' "$image")
  tested "image: $((size / 1000000)) MB, built in $((SECONDS - begun)) s by $engine"
  files+=(tests/containers/test_docker.py)
  export LEGSEG_TEST_ENGINE=$engine LEGSEG_TEST_IMAGE=$image
}

# ------------------------------------------------------------------------------------- Apptainer
build_sif() {
  local begun=$SECONDS options=() apptainer
  export PATH=$work/apptainer/bin:$PATH
  if ! apptainer=$(command -v apptainer || command -v singularity); then
    skip SIF 'no Apptainer (--install takes it from Debian)'
  elif ((EUID)); then
    skip SIF 'only root is sure to be allowed to build one'
  elif [[ -z $engine ]]; then
    skip SIF 'no engine that hands over the base image'
  else
    rm -f "$work/archive.tar"
    [[ $engine == docker ]] || options=(--format docker-archive)
    logged archive "$engine" save "${options[@]}" --output "$work/archive.tar" "$base"
    if logged sif apptainer_build "$apptainer"; then
      tested "SIF: $(($(stat -c %s "$work/legseg.sif") / 1000000)) MB, built in $((SECONDS - begun)) s"
      files+=(tests/containers/test_apptainer.py)
      export LEGSEG_TEST_SIF=$work/legseg.sif LEGSEG_TEST_APPTAINER=$apptainer
    else
      fail 'SIF: apptainer build, see above'
    fi
  fi
}

apptainer_build() (
  mkdir -p "$work/cache" "$work/unpacked"
  # Of capabilities that root does not have here, none may be asked for.
  (((0x$(awk '/^CapEff/ {print $2}' /proc/self/status) >> 24) & 1)) ||
    export APPTAINER_DROP_CAPS=CAP_SYS_RESOURCE
  export APPTAINER_CACHEDIR=$work/cache APPTAINER_TMPDIR=$work/unpacked
  export APPTAINERENV_PIP_CONFIG_FILE=/mnt/pip.conf APPTAINERENV_PIP_NO_CACHE_DIR=1
  timeout 1800 "$1" build --force --bind "$work/pip:/mnt:ro" \
    --build-arg BOOTSTRAP=docker-archive --build-arg FROM="$work/archive.tar" \
    "$work/legseg.sif" Singularity.def
)

# ----------------------------------------------------------------------------------------- Slurm
start_slurm() {
  local memory
  memory=$(awk '/MemTotal/ {print int($2 / 1024 * 0.95)}' /proc/meminfo)
  if has sbatch && timeout 20 sinfo --noheader >/dev/null 2>&1; then
    tested 'Slurm: the one that runs here'
  elif ! has slurmctld || ! has slurmd || ! has munged; then
    skip Slurm 'not installed (--install takes it from Debian)'
    return
  elif ((EUID)); then
    skip Slurm 'none is running, and only root can start one'
    return
  elif ((memory < 4096)); then
    skip Slurm 'the tests need 4 GB of memory'
    return
  elif ! logged slurm slurm_on_loopback "$memory"; then
    skip Slurm 'it does not start here'
    return
  else
    tested "Slurm: $(slurmctld -V), one node on loopback"
  fi
  files+=(tests/hpc/test_slurm.py)
  export LEGSEG_TEST_SLURM=1
}

slurm_on_loopback() {
  local d=$work/slurm ports
  rm -rf "$d"
  mkdir -p "$d"/{state,spool,log,munge}
  head -c 1024 /dev/urandom >"$d/munge/key"
  chmod 400 "$d/munge/key"
  chown -R munge: "$d/munge"
  ports=$("$python" -c 'import socket
s = [socket.create_server(("127.0.0.1", 0)) for _ in "12"]
print(*(one.getsockname()[1] for one in s))')
  cat >"$d/slurm.conf" <<END
ClusterName=test
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$d/munge/socket
CredType=cred/munge
SlurmctldPort=${ports% *}
SlurmdPort=${ports#* }
StateSaveLocation=$d/state
SlurmdSpoolDir=$d/spool
SlurmctldPidFile=$d/slurmctld.pid
SlurmdPidFile=$d/slurmd.pid
SlurmctldLogFile=$d/log/slurmctld.log
SlurmdLogFile=$d/log/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
KillWait=5
SchedulerType=sched/backfill
SchedulerParameters=sched_min_interval=0,bf_interval=1,sched_interval=1,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=1024
PropagateResourceLimits=NONE
NodeName=$(hostname -s) NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=$1 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
END
  export SLURM_CONF=$d/slurm.conf
  runuser -u munge -- "$(command -v munged)" --key-file="$d/munge/key" \
    --socket="$d/munge/socket" --pid-file="$d/munge/pid" --log-file="$d/munge/log" \
    --seed-file="$d/munge/seed"
  slurmctld -c
  slurmd
  for _ in {1..100}; do
    [[ $(timeout 5 sinfo --noheader --format %t) != idle ]] || return 0
    sleep 0.2
  done
  return 1
}

stop_slurm() { # only what was started here
  local pid
  for name in slurmd.pid slurmctld.pid munge/pid; do
    pid=$(cat "$work/slurm/$name" 2>/dev/null) || continue
    kill "$pid" 2>/dev/null || continue
    for _ in {1..100}; do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
  done
}

# ------------------------------------------------------------------------------------------ Dask
find_dask() {
  export PYTHONPATH=$work/dask${PYTHONPATH:+:$PYTHONPATH}
  if "$python" -c 'import dask_jobqueue, distributed' 2>/dev/null; then
    files+=(tests/hpc/test_dask.py)
    tested "Dask: $("$python" -c 'import distributed; print(distributed.__version__)')"
  else
    skip Dask 'dask-jobqueue is not installed (--install takes it from the package index)'
  fi
}

# -------------------------------------------------------------------------------------- all of it
[[ -z $install ]] || { step installing; install_tools; }
step 'engine and base image'
write_settings
if start_engine; then
  step image
  build_image || :
else
  engine=''
fi
step SIF;   build_sif
step Slurm; start_slurm
step Dask;  find_dask
if ((${#files[@]})); then
  step tests
  mkdir -p "$work/tests"
  LEGSEG_TEST_CONTAINERS=1 "$python" -m pytest -p no:cacheprovider --basetemp "$work/tests/run" \
    --durations 5 "${files[@]}" "${pytest[@]}" || fail "pytest ${files[*]}"
fi
step 'containers and cluster'
printf '%s\n' "${summary[@]}"
exit "$failed"
