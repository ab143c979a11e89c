#!/usr/bin/env bash
# Renew requirements/*.txt: versions and hashes for every platform, no index.
set -euo pipefail
uv=$(realpath "$1")
cd "$(dirname "$0")/../requirements"
options=(--generate-hashes --universal --python-version 3.11 --no-header --no-annotate
  --no-emit-index-url --quiet)
{
  echo "# Run-time dependencies, locked by \`make lock\`; versions and hashes, no index."
  "$uv" pip compile ../pyproject.toml "${options[@]}"
} > runtime.txt.new
mv runtime.txt.new runtime.txt
{
  echo "# Tools of the developers and the tests, locked by \`make lock\`."
  "$uv" pip compile dev.in "${options[@]}"
} > dev.txt.new
mv dev.txt.new dev.txt
