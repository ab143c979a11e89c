#!/bin/bash
MODEL_DIR=$(hf download org/m --quiet)
vllm serve "$MODEL_DIR" --served-model-name m
