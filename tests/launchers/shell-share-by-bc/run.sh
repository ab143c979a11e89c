#!/bin/bash
N=2
UTIL=$(echo "scale=2; 0.9 / $N" | bc)
vllm serve org/a --gpu-memory-utilization $UTIL --port 8000 &
vllm serve org/b --gpu-memory-utilization $UTIL --port 8001 &
