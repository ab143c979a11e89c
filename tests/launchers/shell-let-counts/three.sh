#!/bin/bash
port=8000
for gpu in 0 1 2; do
  CUDA_VISIBLE_DEVICES=$gpu vllm serve org/m --port $port &
  let port+=1
done
wait
