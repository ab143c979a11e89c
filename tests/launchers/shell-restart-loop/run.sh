#!/bin/bash
while true; do
  vllm serve org/m --port 8001
  echo "died, again in 10 s"; sleep 10
done
