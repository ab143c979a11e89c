#!/bin/sh
i=0
for m in \
    org/a \
    org/b   # the small one
do
  env CUDA_VISIBLE_DEVICES=$i vllm serve $m --port $((8000 + i)) 2>&1 | tee "vllm-$i.log" &
  i=$((i + 1))
done
wait
