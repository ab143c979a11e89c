#!/bin/sh
vllm serve BAAI/bge-reranker-v2-m3 --port 8001 --gpu-memory-utilization 0.1 &
sleep 90
exec vllm serve org/chat --port 8000 --gpu-memory-utilization 0.8
