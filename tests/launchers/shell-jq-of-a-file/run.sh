#!/bin/bash
MODEL=$(jq -r '.model' config.json)
vllm serve "$MODEL" --port 8000
