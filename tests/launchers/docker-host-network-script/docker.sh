#!/bin/bash
MODEL=${MODEL:-"Qwen/Qwen3-Coder-30B-A3B-Instruct"}
IMAGE="vllm/vllm-openai:v0.10.2"
NAME="vllm-coder"
docker rm -f $NAME 2>/dev/null || true
docker pull "$IMAGE"
docker run -d \
  --name $NAME \
  --network host --ipc host \
  --gpus all \
  -e CUDA_VISIBLE_DEVICES=4,5,6,7 \
  -v "${HF_HOME:-$HOME/.cache/huggingface}:/root/.cache/huggingface" \
  -v /etc/localtime:/etc/localtime:ro \
  "$IMAGE" \
  --model "$MODEL" \
  --served-model-name coder \
  --tensor-parallel-size 4 \
  --rope-scaling '{"rope_type":"yarn","factor":4.0,"original_max_position_embeddings":262144}' \
  --port 8090
docker logs -f $NAME
