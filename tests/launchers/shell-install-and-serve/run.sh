#!/bin/bash
set -e
if [ ! -d .venv ]; then
  python3 -m venv .venv
fi
source .venv/bin/activate
pip install -q -U vllm
mkdir -p logs
nohup vllm serve Qwen/Qwen3-8B --host 0.0.0.0 --port 8000 --gpu-memory-utilization 0.85 > logs/vllm.log 2>&1 &
echo $! > logs/vllm.pid
