#!/usr/bin/env bash
cd "$(dirname "$0")" || exit 1
set -a
[ -f .env ] && . ./.env
set +a
ARGS=(--host 0.0.0.0 --port "${PORT:-8000}")
if [ -n "${MAX_LEN:-}" ]; then ARGS+=(--max-model-len "$MAX_LEN"); fi
[[ "${UTIL:-}" ]] && ARGS+=("--gpu-memory-utilization=$UTIL")
uv run --no-sync vllm serve "${MODEL_ID}" "${ARGS[@]}"
