"""vllm-router, and what keeps its list of workers: two units for systemd, of one host. Pure.

The router asks a worker's own `/health` only, which says yes while the engine already refuses: with
its default a rolling restart failed 449 of 943 requests. So `vllmd fleet follow-router` takes a
worker out when vllmd's `/ready` turns red, and puts it in when it is green. The router's circuit
breaker is off: it would leave a worker out for a minute that serves again.
Source: vllm-router 0.1.17: --help; POST /add_worker, /remove_worker.
"""

from collections.abc import Sequence

from vllmd.fleet.exports.services import MADE_BY, FleetService, remarks, word

_ROUTER = """\
[Unit]
Description=vllm-router for {name}
Wants=network-online.target {follower}
After=network-online.target

[Service]
# Where it is installed: pip install vllm-router==0.1.17
ExecStart=/opt/vllm-router/bin/vllm-router --host 0.0.0.0 --port {port} \\
  --disable-circuit-breaker --policy {policy} \\
  --worker-urls {workers}
Restart=always
RestartSec=1
DynamicUser=yes

[Install]
WantedBy=multi-user.target
"""
_FOLLOWER = """\
[Unit]
Description=Workers of vllm-router for {name}, as vllmd says that they are ready
After={router}

[Service]
ExecStart=/usr/bin/vllmd fleet follow-router {engine} --router http://127.0.0.1:{port}
Restart=always
RestartSec=1
User=vllmd

[Install]
WantedBy=multi-user.target
"""


def files(services: Sequence[FleetService], policy: str = "cache_aware") -> dict[str, str]:
    """Return the units by the names of their files."""
    found = {}
    for service in services:
        name = word(service.name)
        router, follower = f"vllm-router-{name}.service", f"vllmd-follow-router-{name}.service"
        head = "\n".join(remarks([MADE_BY, "Put it into /etc/systemd/system."])) + "\n"
        workers = " ".join(f"http://{each.netloc}" for each in service.replicas)
        found[router] = head + _ROUTER.format(
            name=service.name,
            port=service.port,
            workers=workers,
            follower=follower,
            policy=policy,
        )
        found[follower] = head + _FOLLOWER.format(
            name=service.name, engine=service.engines[0].name, port=service.port, router=router
        )
    return found
