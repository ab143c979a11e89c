#!/bin/bash
SCRIPT_DIR="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
cd "$SCRIPT_DIR/.."
./venv/bin/vllm serve outputs/qwen/awq --chat-template "$SCRIPT_DIR/chat.jinja" | tee run.log
