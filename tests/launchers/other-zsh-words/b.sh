#!/usr/bin/env zsh
ARGS="--port 8000 --max-model-len 4096"
vllm serve org/m $ARGS
