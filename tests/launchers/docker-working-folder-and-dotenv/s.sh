#!/bin/bash
source .env
docker run -d --runtime nvidia -e NVIDIA_VISIBLE_DEVICES=2 -e HF_TOKEN=$HF_TOKEN -v $(pwd)/models:/models:ro -p ${PORT}:8000 vllm/vllm-openai:v0.25.0 vllm serve /models/x --enable-lora --lora-modules a=/models/a
