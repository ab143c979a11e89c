#!/usr/bin/env bash
set -euo pipefail
ROOT_DIR="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
VLLM_BIN="$ROOT_DIR/.venv/bin/vllm"
MODEL_PATH="${MODEL_PATH:-$ROOT_DIR/models/gemma-3-4b-it}"
HOST="${HOST:-0.0.0.0}"
PORT="${PORT:-8100}"
LOG_DIR="$ROOT_DIR/logs"
mkdir -p "$LOG_DIR"
exec "$VLLM_BIN" serve "$MODEL_PATH" \
    --host "$HOST" --port "$PORT" \
    --served-model-name gemma \
    --max-model-len 8192 2>&1 | tee -a "$LOG_DIR/vllm.log"
