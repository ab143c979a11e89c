#!/bin/bash
VRAM=$(nvidia-smi --query-gpu=memory.total --format=csv,noheader,nounits | head -1)
if [ "$VRAM" -ge 40000 ]; then LEN=32768; else LEN=8192; fi
vllm serve org/m --max-model-len $LEN
