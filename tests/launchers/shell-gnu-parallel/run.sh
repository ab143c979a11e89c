#!/bin/bash
seq 0 1 | parallel -j2 --lb 'CUDA_VISIBLE_DEVICES={} vllm serve org/m --port 800{}'
