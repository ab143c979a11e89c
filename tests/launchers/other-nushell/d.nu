#!/usr/bin/env nu
$env.HF_HOME = "/srv/hf"
vllm serve org/m --port 8000
