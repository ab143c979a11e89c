#!/bin/bash
set -e
MODEL=Qwen/Qwen3-14B
mkdir -p /opt/llm && cd /opt/llm
cat > docker-compose.yml <<YAML
services:
  vllm:
    image: vllm/vllm-openai:v0.30.0
    command: --model $MODEL
    ports: ["8000:8000"]
    volumes: ["/opt/llm/hf:/root/.cache/huggingface"]
    restart: always
YAML
docker compose up -d
