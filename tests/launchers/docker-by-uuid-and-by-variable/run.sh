#!/bin/bash
docker run -d --gpus 'device=GPU-3f2a91c0-11aa-4bd2-9c11-a1b2c3d4e5f6' -p 8001:8000 vllm/vllm-openai:v0.30.0 --model org/a
docker run -d --runtime=nvidia -e NVIDIA_VISIBLE_DEVICES=1,2 -p 8002:8000 vllm/vllm-openai:v0.30.0 --model org/b -tp 2
