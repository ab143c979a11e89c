#!/bin/bash
serve() {
  local LAST=$1
  LAST+=" --num-gpu-blocks-override 9"
  vllm serve org/m $LAST
}
EXTRA="1 -n --enforce-eager"
export CUDA_VISIBLE_DEVICES=1
export HF_HUB_OFFLINE=$EXTRA
export HF_HUB_OFFLINE=1
serve "--port 8012 --enforce-eager"
