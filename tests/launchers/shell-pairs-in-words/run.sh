#!/bin/bash
gpu=0
for pair in "org/a:8000" "org/b:8001"; do
  IFS=: read -r model port <<< "$pair"
  CUDA_VISIBLE_DEVICES=$gpu vllm serve "$model" --port "$port" &
  ((gpu++))
done
wait
