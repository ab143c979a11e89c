#!/bin/bash
export VLLM_HOST_IP=10.0.0.4
export NCCL_SOCKET_IFNAME=eth0
ray start --head --port=6379 --num-gpus=8
vllm serve deepseek-ai/DeepSeek-V3 --tensor-parallel-size 8 \
  --distributed-executor-backend ray --trust-remote-code --port 8000
