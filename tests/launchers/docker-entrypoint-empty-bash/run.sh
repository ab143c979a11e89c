#!/bin/bash
docker run -d --name asr --gpus all --entrypoint "" \
  -v /srv/hf:/root/.cache/huggingface -p 9000:8000 \
  vllm/vllm-openai:v0.30.0 \
  bash -c "pip install 'vllm[audio]' && vllm serve openai/whisper-large-v3"
