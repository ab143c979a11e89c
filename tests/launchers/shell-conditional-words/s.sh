#!/bin/bash
MODEL=${MODEL:-Qwen/Qwen3-32B-AWQ}
TP=${TP:-}
[[ "$MODEL" == *AWQ* ]] && Q="--quantization awq_marlin"
until ping -c1 huggingface.co; do sleep 1; done
exec vllm serve "$MODEL" ${TP:+--tensor-parallel-size $TP} $Q --max-model-len $((16*1024))
