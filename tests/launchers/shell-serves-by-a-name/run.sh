#!/bin/bash
VLLM_BIN=${VLLM_BIN:-/opt/vllm/bin/vllm}
declare -a CMD
CMD=("$VLLM_BIN" serve org/m)
CMD+=(--port 8000)
echo "+ ${CMD[*]}"
exec "${CMD[@]}"
