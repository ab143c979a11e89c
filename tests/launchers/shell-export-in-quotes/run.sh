#!/bin/bash
export "HF_HOME=/srv/hf cache"
export 'VLLM_LOGGING_LEVEL=WARNING'
vllm serve org/m
