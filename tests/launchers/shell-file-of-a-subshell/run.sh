#!/bin/sh
(
  printf '%s\n' '[Service]' 'ExecStart=/opt/vllm/bin/vllm serve org/m --host 127.0.0.1 --port 8301' > /etc/systemd/system/llm.service
)
echo HF_HUB_OFFLINE=1 | tee /etc/default/other
systemctl start llm
