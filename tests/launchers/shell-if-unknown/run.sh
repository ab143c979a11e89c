#!/bin/bash
EXTRA=""
if [[ -f /srv/adapter/adapter_config.json ]]; then
  EXTRA="--enable-lora"
fi
vllm serve org/m $EXTRA
