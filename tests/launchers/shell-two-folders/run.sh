#!/bin/bash
( cd {here}/a && set -a && . ./.env && set +a && exec /srv/llm/venv/bin/vllm serve $MODEL --port 8000 ) &
( cd {here}/b && set -a && . ./.env && set +a && exec /srv/llm/venv/bin/vllm serve $MODEL --port 8001 ) &
wait
