#!/bin/bash
docker create --name llm --gpus all --ipc=host -p 8000:8000 -v /srv/hf:/root/.cache/huggingface vllm/vllm-openai:v0.30.0 --model org/m
docker start llm
