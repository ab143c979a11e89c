#!/bin/bash
while read -r name model port gpu; do
  CUDA_VISIBLE_DEVICES=$gpu vllm serve $model --served-model-name $name --port $port &
done <<'EOF'
chat Qwen/Qwen3-8B 8000 0
code Qwen/Qwen2.5-Coder-7B 8001 1
EOF
wait
