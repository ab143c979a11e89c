#!/bin/bash
declare -A MODELS=(
  [chat]="Qwen/Qwen3-8B:8001:0"
  [embed]="BAAI/bge-m3:8002:1"
)
for name in "${!MODELS[@]}"; do
  entry=${MODELS[$name]}
  model=${entry%%:*}
  rest=${entry#*:}
  port=${rest%:*}
  gpu=${rest##*:}
  CUDA_VISIBLE_DEVICES=$gpu nohup vllm serve "$model" --served-model-name "$name" --port "$port" > "logs/$name.log" 2>&1 &
done
