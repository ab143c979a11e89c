#!/bin/bash
docker run --gpus all -p 8000:8000 -v $(pwd)/models:/models:ro -v ./tool.jinja:/t.jinja:ro \
  vllm/vllm-openai:v0.30.0 --model /models/qwen --chat-template /t.jinja \
  --enable-auto-tool-choice --tool-call-parser hermes
