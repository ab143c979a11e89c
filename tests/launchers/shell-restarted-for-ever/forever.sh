#!/bin/bash
cd /srv/llm || exit 1
source .venv/bin/activate
ulimit -n 65535
while true; do
  vllm serve ./models/qwen3-14b-awq --port 8000 2>&1 | tee -a serve.log
  echo "vLLM exited with $?; again in 5 s" >&2
  sleep 5
done
