#!/bin/bash
UUID=$(nvidia-smi --query-gpu=index,gpu_uuid --format=csv,noheader | awk -F", " -v i="${MINE_GPU:-1}" '$1==i{print $2}')
PORT=${MINE_PORT:-8981}
export CUDA_VISIBLE_DEVICES=$UUID PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True
vllm serve org/q4b --port $PORT
