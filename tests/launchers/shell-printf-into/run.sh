#!/bin/bash
i=7
printf -v PORT '%d' $((8000 + i))
vllm serve org/m --port "$PORT"
