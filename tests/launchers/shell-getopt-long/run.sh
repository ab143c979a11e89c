#!/bin/bash
OPTIONS=$(getopt -o m:p:h --long model:,port:,help -- "$@")
if [ $? -ne 0 ]; then
    echo "Invalid arguments"
    exit 1
fi
eval set -- "$OPTIONS"
MODEL="org/default"
PORT="8000"
while true; do
    case "$1" in
        -m | --model) MODEL="$2"; shift 2 ;;
        -p | --port) PORT="$2"; shift 2 ;;
        --) shift; break ;;
        *) exit 1 ;;
    esac
done
vllm serve "$MODEL" --port "$PORT"
