#!/bin/bash
case "$1" in
  start) vllm serve org/m --port 8001 ;;
  stop) pkill -f "vllm serve" ;;
esac
