#!/bin/sh
MODEL=org/m
OPTS="--max-model-len 8192 --dtype half"
OVER='{"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}'
python3 -c 'import vllm' || { echo "no vllm"; exit 1; }
exec vllm serve "$MODEL" $OPTS --hf-overrides "$OVER" "$@"
