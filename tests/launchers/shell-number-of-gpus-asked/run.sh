#!/bin/bash
GPUS=$(nvidia-smi -L | wc -l)
vllm serve org/m -tp $GPUS $EXTRA_ARGS
