#!/bin/bash
# vllm serve org/old --port 8000
: <<'OLD'
vllm serve org/older --port 8000
OLD
vllm serve org/new \
  --port 8000 # --enforce-eager
