#!/bin/bash
NEXT_GPU=0
NEXT_PORT=8000
add() {
  local model=$1 n=$2
  local gpus=$(seq -s, $NEXT_GPU $((NEXT_GPU + n - 1)))
  CUDA_VISIBLE_DEVICES=$gpus vllm serve $model -tp $n --port $NEXT_PORT &
  NEXT_GPU=$((NEXT_GPU + n))
  NEXT_PORT=$((NEXT_PORT + 1))
}
add org/a 2
add org/b 1
wait
