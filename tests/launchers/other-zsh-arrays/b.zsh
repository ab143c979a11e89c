#!/bin/zsh
GPUS=(0 1)
CUDA_VISIBLE_DEVICES=$GPUS[1] vllm serve org/n --port 8001
