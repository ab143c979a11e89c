#!/bin/bash
export SINGULARITYENV_HF_HOME=/data/hf
singularity exec --nv -B /data:/data vllm-openai_v0.30.0.sif vllm serve org/m --port 8000
