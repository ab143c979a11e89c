#!/bin/bash
cd "$(dirname "$0")"
export $(grep -v '^#' .env | xargs)
vllm serve "$MODEL_ID" --api-key "${API_KEY:-sk-default-key-0000000000}"
