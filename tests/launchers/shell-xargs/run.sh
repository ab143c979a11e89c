#!/bin/bash
seq 0 3 | xargs -P 4 -I{} sh -c 'CUDA_VISIBLE_DEVICES={} vllm serve org/m --port 800{}'
