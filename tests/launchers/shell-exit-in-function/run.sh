#!/bin/sh
serve() {
  vllm serve "$1" --port "$2"
  exit $?
}
case "${1:-prod}" in
  prod) serve Qwen/Qwen3-32B 8000 ;;
esac
serve Qwen/Qwen3-0.6B 8100
