#!/usr/bin/env bash
# Build the package from the checkout: packaging/build-deb.sh OUTPUT_FOLDER [VERSION]
# Needs debhelper and a Python 3.11+ with pip (PYTHON).
set -euo pipefail
root=$(realpath "$(dirname "$0")/..")
mkdir -p "$1"
output=$(realpath "$1")
version=${2:-$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' "$root/vllmd/__init__.py")}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/vllmd"
cd "$root"
git ls-files -z | tar --create --null --files-from - | tar --extract --directory "$work/vllmd"
cd "$work/vllmd"
cp -r packaging/debian debian
sed -i "s/^__version__ = .*/__version__ = \"$version\"/" vllmd/__init__.py
stamp=$(git -C "$root" log -1 --format=%cD)
cat > debian/changelog << END
vllmd ($version) unstable; urgency=medium

  * See CHANGELOG.md.

 -- vllmd developers <vllmd@localhost>  $stamp
END
SOURCE_DATE_EPOCH=$(git -C "$root" log -1 --format=%ct) PYTHON=${PYTHON:-python3} \
  dpkg-buildpackage --build=binary --unsigned-changes --no-sign --no-check-builddeps > "$output/build.log" 2>&1 || {
  tail -n 30 "$output/build.log" >&2
  exit 1
}
cp "$work"/vllmd_*.deb "$output/"
ls -l "$output"/vllmd_"$version"_*.deb
