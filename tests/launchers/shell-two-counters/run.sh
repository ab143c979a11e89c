#!/bin/bash
for ((i = 0, port = 8000; i < 4; i += 2, port++)); do
  CUDA_VISIBLE_DEVICES=$i,$((i + 1)) vllm serve org/m -tp 2 --port $port &
done
wait
