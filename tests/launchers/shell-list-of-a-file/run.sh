#!/bin/bash
while read -r model port; do
  vllm serve "$model" --port "$port" &
done < models.txt
wait
