#!/bin/bash
export https_proxy=http://proxy.example:3128 no_proxy=localhost
export HF_ENDPOINT=https://hub.example
export HF_TOKEN=hf_kkkkkkkkkkkkkkkkkkkkkk
vllm serve meta-llama/Llama-3.1-8B-Instruct --port 8000 --api-key sk-abcdef-1234
