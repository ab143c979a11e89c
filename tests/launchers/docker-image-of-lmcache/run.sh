#!/bin/bash
docker run --gpus all --network host \
  -e LMCACHE_LOCAL_CPU=True -e LMCACHE_MAX_LOCAL_CPU_SIZE=20 \
  lmcache/vllm-openai:v0.5.4 \
  Qwen/Qwen3-8B --port 8000 --kv-transfer-config \
  '{"kv_connector":"LMCacheConnectorV1", "kv_role":"kv_both"}'
