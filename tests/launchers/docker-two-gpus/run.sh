#!/bin/bash
docker rm -f chat
docker run -d --name chat --restart unless-stopped \
  --gpus '"device=2,3"' --shm-size 16g \
  -v /srv/models:/models:ro -v hf-cache:/root/.cache/huggingface \
  -p 127.0.0.1:9000:8000 -e VLLM_LOGGING_LEVEL=WARNING \
  vllm/vllm-openai:v0.8.5 \
  --model /models/qwen --served-model-name chat -tp 2 --disable-log-requests --api-key local-key-aa
