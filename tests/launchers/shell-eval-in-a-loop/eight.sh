#!/bin/bash
export MODEL_NAME=Qwen/Qwen2.5-7B-Instruct
export GPU_NUM=4
for i in $(seq 0 $((GPU_NUM-1))); do
    cmd="CUDA_VISIBLE_DEVICES=${i} nohup vllm serve ${MODEL_NAME} --port $((6000 + i)) --dtype bfloat16 > ./logs/engine_${i}.log 2>&1 &"
    echo $cmd
    eval $cmd
done
