#!/bin/bash
cat > /tmp/vllm.env <<END
VLLM_LOGGING_LEVEL=DEBUG
VLLM_API_KEY=sk-written-here-1
END
docker run -d --name chat --gpus all --env-file /tmp/vllm.env -p 8000:8000 vllm/vllm-openai:v0.30.0 --model org/m
