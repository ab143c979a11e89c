#!/bin/bash
apptainer exec --nv --bind /data/hf:/root/.cache/huggingface --env HF_HUB_OFFLINE=1 \
  docker://vllm/vllm-openai:v0.10.1 \
  vllm serve Qwen/Qwen3-8B --port 8011
