#!/bin/bash
PORT=8000; GPUS=0; MODEL=
usage() { echo "usage: $0 -m MODEL [-p PORT] [-g GPUS]"; exit 1; }
while getopts "m:p:g:h" o; do
  case $o in
    m) MODEL=$OPTARG ;;
    p) PORT=$OPTARG ;;
    g) GPUS=$OPTARG ;;
    *) usage ;;
  esac
done
shift $((OPTIND-1))
[ -n "$MODEL" ] || usage
CUDA_VISIBLE_DEVICES=$GPUS vllm serve "$MODEL" --port "$PORT" "$@"
