#!/usr/bin/env bash
# Renew requirements/*.txt: versions and hashes for every platform, no index.
#   tools/lock.sh UV                everything
#   tools/lock.sh UV PACKAGE …      these only, and what they then need: the answer to a CVE
set -euo pipefail
uv=$(realpath "$1")
shift
cd "$(dirname "$0")/../requirements"
options=(--generate-hashes --universal --python-version 3.11 --no-header --no-annotate
  --no-emit-index-url --quiet)
# what a file pins already stays, unless it is to be renewed
renew() {
  local source=$1 file=$2 title=$3
  shift 3
  if (($#)); then cp "$file" "$file.new"; else : > "$file.new"; fi
  "$uv" pip compile "$source" "${options[@]}" "${@/#/--upgrade-package=}" --output-file "$file.new"
  sed -i '/^#/d' "$file.new"
  sed -i "1i # $title" "$file.new"
}
renew ../pyproject.toml runtime.txt \
  "Run-time dependencies, locked by \`make lock\`; versions and hashes, no index." "$@"
# of these the index has wheels for one Python too: only the hash of the pure one stays
for name in multidict; do
  folder=$(mktemp -d)
  pinned=$(grep -oE "^$name==[0-9.]+" runtime.txt.new)
  "$(dirname "$uv")/pip" --quiet download --no-deps --only-binary :all: --implementation py \
    --abi none --platform any --dest "$folder" "$pinned"
  hash=$(sha256sum "$folder"/*.whl | cut -d' ' -f1)
  python3 - "$name" "$hash" << 'END'
import re, sys
name, digest = sys.argv[1:]
text = open("runtime.txt.new").read()
entry = re.compile(rf"^({name}==\S+)((?: \\\n    --hash=\S+)+)$", re.MULTILINE)
with open("runtime.txt.new", "w") as file:
    file.write(entry.sub(rf"\1 \\\n    --hash=sha256:{digest}", text))
END
  rm -r "$folder"
done
mv runtime.txt.new runtime.txt
renew dev.in dev.txt "Tools of the developers and the tests, locked by \`make lock\`." "$@"
mv dev.txt.new dev.txt
