#!/usr/bin/env bash
set -euo pipefail
PRESET="${1:?usage: run.sh PRESET}"
PORT="${PORT:-8000}"
COMMON=(--port "$PORT" --served-model-name "$PRESET" --max-model-len "${MAX_LEN:-32768}")
EXTRA=()
case "$PRESET" in
  qwen)
    MODEL="Qwen/Q-27B"
    EXTRA=(--tensor-parallel-size 2 --reasoning-parser qwen3)
    ;;
  fp8|fp8-*)
    MODEL="Qwen/Q-27B-FP8"
    export CUDA_VISIBLE_DEVICES="${CUDA_VISIBLE_DEVICES:-0}"
    EXTRA=(--tensor-parallel-size 1 --reasoning-parser qwen3)
    ;;
  *)
    echo "unknown preset $PRESET" >&2; exit 1 ;;
esac
echo "Serving $MODEL as '$PRESET' on http://localhost:$PORT/v1"
exec vllm serve "$MODEL" "${COMMON[@]}" "${EXTRA[@]}"
