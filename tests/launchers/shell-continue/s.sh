#!/bin/bash
if pgrep -f "vllm serve" > /dev/null; then echo running; exit 0; fi
declare -A ON=([a]=1 [b]=0)
for m in a b; do
  [[ ${ON[$m]} -eq 1 ]] || continue
  nohup vllm serve /srv/$m --port 8000 &
done
