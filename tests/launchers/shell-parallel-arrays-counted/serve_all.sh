#!/usr/bin/env bash
set -euo pipefail
MODELS=(
    /srv/ckpt/sft-3b/checkpoint-47
    "Qwen/Qwen3-8B"
)
PORTS=(9090 "9091")
GPUS=("0" "1,2")
MAX_LENGTH=4096
for i in ${!MODELS[@]}; do
    CUDA_VISIBLE_DEVICES="${GPUS[$i]}" vllm serve \
        --model ${MODELS[$i]} \
        --port ${PORTS[$i]} \
        --served-model-name "${MODELS[$i]##*/}" \
        --tensor-parallel-size $(echo ${GPUS[$i]} | tr ',' '\n' | wc -l) \
        --max-model-len ${MAX_LENGTH} &
done
wait
