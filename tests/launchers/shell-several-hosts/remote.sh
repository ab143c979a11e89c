#!/bin/bash
for h in gpu1 gpu2; do
  ssh $h "cd /srv && nohup vllm serve Qwen/Qwen3-8B --port 8000 > log 2>&1 &"
done
