#!/bin/bash
docker run --gpus all --env-file .env -p 8000:8000 vllm/vllm-openai:v0.30.0 $MODEL
