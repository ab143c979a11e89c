#!/bin/sh
export HF_HOME=/srv/hf
CUDA_VISIBLE_DEVICES=0 vllm serve org/chat --port 8001 --gpu-memory-utilization 0.85 > chat.log 2>&1 &
CUDA_VISIBLE_DEVICES=1 vllm serve org/embed --port 8002 --runner pooling > embed.log 2>&1 &
wait
