#!/bin/bash
mapfile -t GPUS < <(printf '%s\n' 4 6)
PORTS=($(seq 8000 8001))
for i in "${!GPUS[@]}"; do
  CUDA_VISIBLE_DEVICES=${GPUS[$i]} vllm serve org/m --port ${PORTS[$i]} &
done
