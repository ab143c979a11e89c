#!/usr/bin/env bash
declare -A PORT=( [qwen]=8001 [llama]=8002 )
declare -A REPO
REPO[qwen]=Qwen/Qwen3-4B
REPO[llama]=meta-llama/Llama-3.2-3B-Instruct
gpu=0
for name in qwen llama; do
  CUDA_VISIBLE_DEVICES=$gpu vllm serve "${REPO[$name]}" --port "${PORT[$name]}" --served-model-name "$name" &
  gpu=$((gpu + 1))
done
wait
