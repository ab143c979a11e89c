#!/usr/bin/env fish
set -gx CUDA_VISIBLE_DEVICES 2,3
vllm serve org/m --port 8000
