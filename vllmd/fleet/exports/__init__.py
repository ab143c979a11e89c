"""What others need to know of a fleet, as their own configuration. Pure: text of `[fleet]`.

`services.py` says which replicas there are behind which address; each other file writes one
program's configuration of them: HAProxy, nginx, vllm-router, Prometheus, systemd.
"""
