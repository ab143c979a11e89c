#!/bin/bash
export CUDA_VISIBLE_DEVICES=0,1,2,3
TP=$(echo $CUDA_VISIBLE_DEVICES | tr ',' '\n' | wc -l)
vllm serve Qwen/Qwen3-32B --tensor-parallel-size $TP
