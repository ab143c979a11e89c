#!/bin/sh
until curl -sf http://127.0.0.1:8000/health >/dev/null 2>&1; do sleep 5; done
CUDA_VISIBLE_DEVICES=1 exec vllm serve org/small --port 8001 --gpu-memory-utilization 0.4
