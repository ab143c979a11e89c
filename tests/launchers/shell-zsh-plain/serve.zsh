#!/bin/zsh
export HF_HOME=/data/hf
vllm serve Qwen/Qwen3-4B --port 8010 --max-model-len 16k
