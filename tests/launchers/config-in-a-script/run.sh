#!/bin/sh
export CUDA_VISIBLE_DEVICES=1
exec /opt/vllm/bin/vllm serve --config=conf/serve.yaml
