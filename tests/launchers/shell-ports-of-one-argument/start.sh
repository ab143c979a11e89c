#!/usr/bin/env bash
set -euo pipefail
MODEL_PATH=${1:?which model}
PORTS_CSV=${2:?ports, as 10030,10031}
LOG_DIR=${3:-log}
FIRST=${4:-0}
mkdir -p "$LOG_DIR"
IFS=',' read -r -a PORTS <<< "$PORTS_CSV"
for i in "${!PORTS[@]}"; do
  (
    export CUDA_VISIBLE_DEVICES=$((FIRST + i))
    export VLLM_DISABLE_COMPILE_CACHE=1
    exec vllm serve "$MODEL_PATH" --host 0.0.0.0 --port "${PORTS[$i]}"
  ) > "$LOG_DIR/${PORTS[$i]}.log" 2>&1 &
done
wait
