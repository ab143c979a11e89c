#!/bin/sh
set -eu
: "${MODEL:=Qwen/Qwen3-8B}"
set -- vllm serve "$MODEL" --host 0.0.0.0 --port "${PORT:-8080}"
if [ -n "${MAX_LEN:=16384}" ]; then
  set -- "$@" --max-model-len "$MAX_LEN"
fi
exec "$@"
