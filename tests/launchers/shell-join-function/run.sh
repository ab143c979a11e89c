#!/bin/bash
join() { local IFS=","; echo "$*"; }
GPUS=(0 1)
CUDA_VISIBLE_DEVICES=$(join "${GPUS[@]}") vllm serve org/m
