#!/usr/bin/env bash
for ((i = 0; i < 2; i++)); do
  docker run -d --name "vllm-$i" --gpus "\"device=$i\"" \
    -p "$((8000 + i)):8000" -v /srv/hf:/root/.cache/huggingface \
    vllm/vllm-openai:v0.30.0 --model org/m
done
