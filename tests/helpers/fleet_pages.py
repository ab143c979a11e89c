"""Pages of hosts that are none, and what is run on them, for the commands of `vllmd fleet`."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

from tests.helpers.listening import Handler, listening
from tests.helpers.ports import free_port

AT_HOST = """\
#!/bin/sh
echo "$@" >> {folder}/asked
[ ! -e {folder}/refuses ] || {{ echo "no route to $1"; exit 255; }}
"""


def page_engine(name: str = "chat", **more: Any) -> dict[str, Any]:
    """Return an engine as a page has it."""
    return {
        "name": name,
        "served_names": ["tiny"],
        "state": "ready",
        "since": 1000.0,
        "up": True,
        "wanted": True,
        "started_at": 1000.0,
        "vllm_version": "0.32.0",
        "requests_running": 3,
        "requests_waiting": 1,
        "tokens_per_s": 1840.0,
        **more,
    }


@attrs.define
class FleetPages:
    """The hosts: what they answer, their configuration, and what was run on them."""

    folder: Path
    config: Path
    engines: dict[str, list[dict[str, Any]]]

    @property
    def asked(self) -> list[str]:
        """Return the command lines behind `fleet.command`, the host first."""
        path = self.folder / "asked"
        return path.read_text().splitlines() if path.exists() else []

    def page(self, host: str) -> dict[str, Any]:
        """Return what a host answers: a restart that was asked for has been done already."""
        runs = sum(" restart " in line for line in self.asked)  # all of them are 127.0.0.1
        if not isinstance(self.engines[host], list):
            return {"at": 1090.0, "engines": self.engines[host]}
        installed = [line.split()[-1] for line in self.asked if " install " in line]
        new = {"vllm_version": installed[-1]} if installed else {}
        found = [
            {**each, "started_at": each["started_at"] + runs, **(new if runs else {})}
            for each in self.engines[host]
        ]
        return {"at": 1090.0, "engines": found}


@contextlib.contextmanager
def fleet_pages(
    folder: Path, *engines: list[dict[str, Any]], silent: int = 0, more: str = ""
) -> Iterator[FleetPages]:
    """Serve a page for each list of engines; `silent` hosts more do not answer."""
    program = folder / "at-host"
    program.write_text(AT_HOST.format(folder=folder))
    program.chmod(0o755)
    made = FleetPages(folder, folder / "vllmd.toml", {})
    with contextlib.ExitStack() as stack:
        names = []
        for number, found in enumerate(engines, 1):
            address = stack.enter_context(_serving(made, f"127.0.0.1#{number}"))
            made.engines[f"127.0.0.1#{number}"] = found
            names.append(address)
        names += [f"127.0.0.1:{free_port()}" for _ in range(silent)]
        listed = ", ".join(f'"{name}"' for name in names)
        made.config.write_text(
            f'[fleet]\nhosts = [{listed}]\ncommand = ["{program}", "{{host}}"]\nsettle_s = 0\n'
            f'{more}\n[engines.chat]\nmodel = "tiny"\n'
        )
        yield made


@contextlib.contextmanager
def _serving(made: FleetPages, key: str) -> Iterator[str]:
    class Page(Handler):
        def reply(self) -> None:
            body = json.dumps(made.page(key)).encode()
            self.answer(200 if self.path == "/status.json" else 404, body, "application/json")

    with listening(Page) as url:
        yield url.removeprefix("http://")
