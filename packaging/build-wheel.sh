#!/usr/bin/env bash
# Build the wheel from the checkout: packaging/build-wheel.sh OUTPUT_FOLDER
# Of what git tracks alone, with the setuptools that requirements/dev.txt pins (PYTHON); no network is
# asked, and the bytes are the same each time (SOURCE_DATE_EPOCH: the commit).
set -euo pipefail
umask 022
root=$(realpath "$(dirname "$0")/..")
mkdir -p "$1"
output=$(realpath "$1")
python=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$root"
mkdir "$work/tree"
git ls-files -z | tar --create --null --files-from - | tar --extract --no-same-permissions --directory "$work/tree"
# what the host's umask made of the checkout is not what the wheel has
chmod -R u=rwX,go=rX "$work/tree"
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) "$python" -m pip --disable-pip-version-check --quiet wheel \
  --no-deps --no-build-isolation --no-cache-dir --wheel-dir "$output" "$work/tree"
ls -l "$output"/vllmd-*.whl
