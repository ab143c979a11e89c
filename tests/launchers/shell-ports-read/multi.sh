#!/usr/bin/env bash
set -euo pipefail
MODEL_PATH=${1:-/srv/models/qwen3-vl}
PORTS_CSV=${2:-10030,10031}
IFS=',' read -r -a PORTS <<< "${PORTS_CSV}"
for i in "${!PORTS[@]}"; do
  port=${PORTS[$i]}
  (
    export CUDA_VISIBLE_DEVICES=${i}
    export VLLM_LOGGING_LEVEL=WARNING
    exec vllm serve "${MODEL_PATH}" \
      --host 0.0.0.0 \
      --port "${port}" \
      --limit-mm-per-prompt image=1,video=1 \
      > "log/vllm_${port}.log" 2>&1
  ) &
done
wait
