#!/bin/tcsh -f
setenv HF_HOME /srv/hf
vllm serve org/m --port 8000
