#!/bin/bash
flock -n /tmp/vllm.lock timeout --signal=INT 12h stdbuf -oL vllm serve org/m --port 8000 2>&1 | tee serve.log
