#!/usr/bin/env bash
set -euo pipefail
IMAGE=vllm/vllm-openai:v0.30.0
args=(--rm --gpus all --ipc=host -p 8000:8000)
args+=(-v "$HOME/.cache/huggingface:/root/.cache/huggingface")
if [[ -n "${HF_TOKEN:-}" ]]; then
  args+=(-e HF_TOKEN)
fi
docker run "${args[@]}" "$IMAGE" --model org/m
