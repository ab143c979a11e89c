#!/bin/bash
cd "$(dirname "$0")"
set -a
[ -f .env ] && source .env
[ -f .env.local ] && source .env.local
set +a
vllm serve org/m --port $PORT
