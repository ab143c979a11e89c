#!/usr/bin/env bash
# Build the package from the checkout: packaging/build-deb.sh OUTPUT_FOLDER [VERSION]
# ARCH is what it is for, amd64 or arm64; by default what this host is. Nothing is compiled, so the one for
# the other needs nothing more.
# Needs debhelper and a Python 3.11+ with pip and what requirements/dev.txt pins (PYTHON). The wheels are
# loaded first, each by its hash, and the documentation site is made by the Sphinx that is pinned; the
# build itself asks no network, and makes the same bytes each time (SOURCE_DATE_EPOCH: the commit).
# The source package has the wheels of both and the site, so it is the same whatever it is built for.
set -euo pipefail
umask 022
root=$(realpath "$(dirname "$0")/..")
mkdir -p "$1"
output=$(realpath "$1")
version=${2:-$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' "$root/vllmd/__init__.py")}
python=${PYTHON:-python3}
arch=${ARCH:-$(dpkg --print-architecture)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
source=$work/vllmd-$version
mkdir "$source"
cd "$root"
git ls-files -z | tar --create --null --files-from - | tar --extract --directory "$source"
cd "$source"
cp -r packaging/debian debian
sed -i "s/^__version__ = .*/__version__ = \"$version\"/" vllmd/__init__.py
# for the oldest Python that the package runs on, whichever builds it
for machine in x86_64 aarch64; do
  "$python" -m pip --disable-pip-version-check --quiet download --require-hashes --no-deps \
    --only-binary :all: --implementation cp --python-version 3.11 --abi abi3 --abi none \
    --platform "manylinux2014_$machine" --platform "manylinux_2_12_$machine" \
    --requirement requirements/runtime.txt --dest "$work/wheels" 2> "$output/pip.log" || {
    cat "$output/pip.log" >&2
    exit 1
  }
done
"$python" packaging/unpack.py "$work/wheels" site
# -P: folders here have the names of modules
"$python" -P -m sphinx -W -n -q --keep-going -d "$work/tree" -b html docs html
rm html/.buildinfo
find html -exec touch --date "@$(git -C "$root" log -1 --format=%ct)" {} +
stamp=$(git -C "$root" log -1 --format=%cD)
cat > debian/changelog << END_OF_CHANGELOG
vllmd ($version) unstable; urgency=medium

  * See /usr/share/doc/vllmd/CHANGELOG.md.gz.

 -- vllmd developers <vllmd@vllmd.invalid>  $stamp
END_OF_CHANGELOG
SOURCE_DATE_EPOCH=$(git -C "$root" log -1 --format=%ct) \
  dpkg-buildpackage --host-arch="$arch" --build=full --unsigned-source --unsigned-changes --no-check-builddeps \
  > "$output/build.log" 2>&1 || {
  tail -n 30 "$output/build.log" >&2
  exit 1
}
cp "$work"/vllmd_"$version"* "$output/"
ls -l "$output"/vllmd_"$version"_"$arch".deb
