#!/bin/bash
set -x
docker network create llm || true
run() {
  docker rm -f "$1" 2>/dev/null || true
  docker run -d --name "$1" --network llm --gpus "device=$3" -p "$4:8000" \
    -v /srv/hf:/root/.cache/huggingface vllm/vllm-openai:v0.30.0 --model "$2"
}
run a org/a 0 8001
run b org/b 1 8002
docker run -d --name proxy --network llm -p 80:80 nginx
