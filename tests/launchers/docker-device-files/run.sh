#!/bin/bash
port=8010
docker run -d --name vllm \
  --device /dev/nvidia2:/dev/nvidia2 --device /dev/nvidiactl:/dev/nvidiactl --device /dev/nvidia-uvm:/dev/nvidia-uvm \
  --ulimit memlock=-1 --shm-size=10g -e HF_HUB_OFFLINE=1 \
  -v /srv/hf:/hf -p ${port}:${port} vllm/vllm-openai:v0.30.0 \
  --port ${port} --served-model-name model --tensor-parallel-size 1 --model /hf/qwen --host 0.0.0.0 --enforce-eager --dtype bfloat16
