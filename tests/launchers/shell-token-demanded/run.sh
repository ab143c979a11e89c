#!/usr/bin/env bash
set -euo pipefail
: "${HF_TOKEN:?Set HF_TOKEN to a Hugging Face access token}"
MODEL="${MODEL:-meta-llama/L-8B}"
PORT="${PORT:-8000}"
TOOL_PARSER="${TOOL_PARSER:-llama3_json}"
LOCAL_API_KEY="${DEXTER_KEY:-}"
echo "  auth:        $([ -n "$LOCAL_API_KEY" ] && echo enabled || echo disabled)"
export HUGGING_FACE_HUB_TOKEN="$HF_TOKEN"
ARGS=(
  --port "$PORT"
  --enable-auto-tool-choice
  --tool-call-parser "$TOOL_PARSER"
)
if [ -n "$LOCAL_API_KEY" ]; then
  ARGS+=(--api-key "$LOCAL_API_KEY")
fi
vllm serve "$MODEL" "${ARGS[@]}"
