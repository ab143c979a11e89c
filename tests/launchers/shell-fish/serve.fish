#!/usr/bin/env fish
set -gx CUDA_VISIBLE_DEVICES 0,1
set model Qwen/Qwen3-14B
vllm serve $model --port 8000 --tensor-parallel-size 2
