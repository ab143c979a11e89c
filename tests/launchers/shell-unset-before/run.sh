#!/bin/sh
export HF_HOME=/srv/hf CUDA_VISIBLE_DEVICES=3
unset CUDA_VISIBLE_DEVICES
PYTHONPATH= vllm serve org/m --port 8000
