#!/bin/bash
for gpu in 0 1; do
  docker run -d --name vllm-$gpu --gpus "device=$gpu" -p $((8000 + gpu)):8000 \
    -v /srv/hf:/root/.cache/huggingface vllm/vllm-openai:v0.25.1 --model org/m
done
