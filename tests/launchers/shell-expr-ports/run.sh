#!/bin/sh
i=0
while [ $i -lt 2 ]; do
  PORT=$(expr 8100 + $i)
  CUDA_VISIBLE_DEVICES=$i vllm serve org/m --port $PORT > vllm_$PORT.log 2>&1 &
  i=$(expr $i + 1)
done
