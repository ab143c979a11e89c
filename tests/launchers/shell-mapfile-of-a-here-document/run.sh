#!/bin/bash
mapfile -t MODELS <<'EOF'
org/a
org/b
EOF
for i in "${!MODELS[@]}"; do
  CUDA_VISIBLE_DEVICES=$i vllm serve "${MODELS[$i]}" --port $((8000 + i)) &
done
wait -n
