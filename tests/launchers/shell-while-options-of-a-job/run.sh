#!/bin/bash
#SBATCH --gres=gpu:1
export TP_SIZE=1
export PORT=9871
export MODEL_NAME="org/r1-7b"
while [[ $# -gt 0 ]]
do
key="$1"
case $key in
    --model-name)
    export MODEL_NAME="$2"
    shift
    shift
    ;;
    --port)
    export PORT="$2"
    shift
    shift
    ;;
    --tp-size)
    export TP_SIZE="$2"
    shift
    shift
    ;;
    *)
    shift
    ;;
esac
done
echo "CUDA_VISIBLE_DEVICES: $CUDA_VISIBLE_DEVICES"
vllm serve $MODEL_NAME --tensor-parallel-size $TP_SIZE --port $PORT --enable-reasoning --reasoning-parser deepseek_r1
