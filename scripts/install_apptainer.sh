#!/usr/bin/env bash
# Apptainer from Debian's packages into a folder of its own: PREFIX/bin/apptainer.
#
#   install_apptainer.sh PREFIX
#
# Where the system's own packages have none (Debian 12), it is taken from Debian's unstable suite,
# together with the C library that it was built for. The system's packages and sources stay as they
# are, but for a few small tools that Apptainer calls. As root, on x86-64.
set -euo pipefail
prefix=$(realpath -m "${1:?usage: install_apptainer.sh PREFIX}")
export DEBIAN_FRONTEND=noninteractive

apt-get install --yes --quiet --no-install-recommends \
  fuse3 libcap2-bin libseccomp2 patchelf squashfs-tools squashfuse
if [[ $(apt-cache policy apptainer) == *'Candidate: '[0-9]* ]]; then
  apt-get install --yes --quiet --no-install-recommends apptainer
  exit
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mirror=$(cat /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null |
  sed -nE '/^(URIs:|deb ) *(\[[^]]*\] *)?/ {s///; s/ .*//; p; q}') || :
mkdir -p "$scratch/lists/partial" "$scratch/cache/archives/partial"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror sid main" \
  >"$scratch/sources.list"
apt() {
  apt-get --quiet -o Dir::Etc::sourcelist="$scratch/sources.list" -o Dir::Etc::sourceparts=- \
    -o Dir::State::lists="$scratch/lists" -o Dir::Cache="$scratch/cache" \
    -o APT::Sandbox::User=root -o APT::Get::List-Cleanup=0 "$@"
}
apt update
(cd "$scratch" && apt download apptainer libc6)
dpkg-deb --extract "$scratch"/apptainer_*.deb "$scratch/apptainer"
dpkg-deb --extract "$scratch"/libc6_*.deb "$scratch/libc"

rm -rf "$prefix"
libraries=lib/x86_64-linux-gnu
mkdir -p "$prefix"/{bin,etc,libc,"$libraries"} "$prefix"/var/lib/apptainer/mnt/{session,source}
cp -a "$scratch/libc/usr/$libraries"/*.so* "$prefix/libc/"
cp -a "$scratch/apptainer/usr/bin/apptainer" "$prefix/bin/"
cp -a "$scratch/apptainer/usr/$libraries/apptainer" "$prefix/$libraries/"
cp -a "$scratch/apptainer/etc/apptainer" "$prefix/etc/"
for program in "$prefix/bin/apptainer" "$prefix/$libraries/apptainer/bin/starter"; do
  patchelf --set-interpreter "$prefix/libc/ld-linux-x86-64.so.2" --force-rpath \
    --set-rpath "$prefix/libc" "$program"
done
# The starter looks for etc and var one level higher than they are.
ln -s ../etc "$prefix/lib/etc"
ln -s ../var "$prefix/lib/var"
# Root may lack a capability here, which "full" would ask for: it gets those that it has.
sed -i 's/^root default capabilities = .*/root default capabilities = file/' \
  "$prefix/etc/apptainer/apptainer.conf"
has=$(capsh --decode="$(awk '/^CapBnd/ {print $2}' /proc/self/status)" | sed 's/.*=//')
"$prefix/bin/apptainer" --quiet capability add --user root "${has^^}"
"$prefix/bin/apptainer" --version
