#!/bin/bash
declare -i gpu=0 port=8000
while (( gpu < 2 )); do
  CUDA_VISIBLE_DEVICES=$gpu vllm serve org/m --port $port > $port.log 2>&1 &
  gpu+=1
  port+=10
done
