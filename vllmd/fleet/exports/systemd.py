"""A rolling restart at a time of the week, as a unit and a timer of one host. Pure.

Source: systemd.timer(5), systemd.service(5).
"""

from collections.abc import Sequence

from vllmd.fleet.exports.services import MADE_BY, FleetService, remarks, word

_UNIT = """\
[Unit]
Description=Restart the replicas of {name} one after another
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
# Of a user that may do what fleet.command does: with ssh, one whose key the hosts know.
User=vllmd
ExecStart=/usr/bin/vllmd fleet restart {engine}
TimeoutStartSec=infinity
"""
_TIMER = """\
[Unit]
Description=When the replicas of {name} are restarted

[Timer]
OnCalendar=Sun 04:00
RandomizedDelaySec=10min

[Install]
WantedBy=timers.target
"""


def files(services: Sequence[FleetService]) -> dict[str, str]:
    """Return the units by the names of their files; on one host only they are to be enabled."""
    found = {}
    head = remarks([MADE_BY, "Put it into /etc/systemd/system of one host, and enable the timer."])
    for service in services:
        about = {"name": service.name, "engine": service.engines[0].name}
        if len(service.engines) > 1:
            about["engine"] = service.name
        base = f"vllmd-fleet-restart-{word(service.name)}"
        found[f"{base}.service"] = "\n".join(head) + "\n" + _UNIT.format(**about)
        found[f"{base}.timer"] = "\n".join(head) + "\n" + _TIMER.format(**about)
    return found
