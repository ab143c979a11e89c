#!/bin/bash
cd "$(dirname "$0")"
set -a
. ./.env
set +a
vllm serve $LLM_MODEL --host=0.0.0.0 --port=$LLM_PORT --chat-template ./templates/gemma.jinja
