@echo off
set HF_HOME=D:\hf
vllm serve org/m --port 8000
