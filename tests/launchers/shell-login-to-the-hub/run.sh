#!/bin/bash
CURR_DIR=$(cd "$(dirname "$0")"; pwd)
WORKSPACE="work"
PYTHON=$(which python3)
PORT=6789
VLLM_VERSION="0.7.3"
HF_TOKEN="hf_wwwwwwwwwwwwwwwwwwww"
MODEL="org/gated"
CUDA_VISIBLE_DEVICES=3
function init() {
  cd ${CURR_DIR}
  mkdir -p ${WORKSPACE}
}
function build() {
  cd ${CURR_DIR}
  cd ${WORKSPACE}
  ${PYTHON} -m venv ./_pyenv --copies
  ./_pyenv/bin/pip install vllm==${VLLM_VERSION}
}
function start() {
  cd ${CURR_DIR}
  cd ${WORKSPACE}
  ./_pyenv/bin/huggingface-cli login --token ${HF_TOKEN}
  CUDA_VISIBLE_DEVICES=${CUDA_VISIBLE_DEVICES} \
  VLLM_ALLOW_LONG_MAX_MODEL_LEN=1 \
  ./_pyenv/bin/vllm serve ${MODEL} \
    --dtype bfloat16 \
    --max_model_len 20000 \
    --tensor-parallel-size 1 \
    --gpu-memory-utilization 0.5 \
    --port ${PORT} \
    --enable-prefix-caching
}
function main() {
  init
  build
  start
}
main
