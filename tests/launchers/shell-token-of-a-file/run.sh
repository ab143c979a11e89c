#!/bin/bash
TOKEN_FILE=/srv/secrets/hf
export HF_TOKEN="$(cat "$TOKEN_FILE")"
exec vllm serve meta-llama/Llama-3.1-8B-Instruct "$@"
