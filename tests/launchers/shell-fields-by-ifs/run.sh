#!/bin/bash
GPUS=0,1
IFS=,
for gpu in $GPUS; do
  CUDA_VISIBLE_DEVICES=$gpu vllm serve org/m --port $((8000 + gpu)) &
done
wait
