#!/bin/bash
GPU_LIST="0 1 2"
BASE=9000
n=0
for g in $GPU_LIST; do
  port=$(( BASE + n++ ))
  CUDA_VISIBLE_DEVICES="$g" nohup vllm serve org/m --port "$port" --served-model-name m > "logs/$g.log" 2>&1 &
done
