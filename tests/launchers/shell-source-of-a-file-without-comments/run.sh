#!/bin/bash
set -o allexport
source <(grep -v '^#' {here}/common.env)
set +o allexport
vllm serve "$MODEL" --port 8000
