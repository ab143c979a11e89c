#!/bin/bash
pm2 start "vllm serve Qwen/Qwen3-8B --port 8000" --name vllm
pm2 save
