#!/bin/sh
SERVE_USER=vllm
cat <<UNIT | sudo tee /etc/systemd/system/vllm.service >/dev/null
[Service]
User=$SERVE_USER
Environment=HF_HOME=/var/lib/vllm
ExecStart=/opt/vllm/bin/vllm serve org/m --host 127.0.0.1 --port 8300
Restart=on-failure
UNIT
sudo systemctl daemon-reload
sudo systemctl enable vllm
sudo systemctl restart vllm
