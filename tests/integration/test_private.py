"""Secrets, prompts, users and hosts that were planted, looked for on every surface."""

import getpass
import json
import os
import re
import signal
import socket
import tarfile
from pathlib import Path

import httpx

from tests.helpers.outcomes import Outcome
from tests.helpers.receiver import receiver
from tests.helpers.site import Site, wait_for
from tests.integration.conftest import serving

TOKEN = "planted-token-5ae1c0de"
KEY = "planted-key-77e2aa01"
HOOK = "planted-hook-93b6f1"
PROMPT = "planted-prompt-my-diary"


def surfaces(made: Site, bodies: list[bytes]) -> dict[str, bytes]:
    """Return everything that vllmd shows, keeps or sends, by name; the engine's own log is not."""
    config = str(made.config)
    commands = {
        name: made.vllmd(*arguments)
        for name, arguments in {
            "status": ("status",),
            "status --json": ("status", "--json"),
            "events": ("events",),
            "events --json": ("events", "--json"),
            "why": ("why",),
            "why --json": ("why", "--json"),
            "why --log": ("why", "--log", str(made.folder / "log" / "chat.log")),
            "check": ("check", "--config", config),
            "reload": ("reload",),
        }.items()
    }
    assert made.vllmd("bundle", "-c", config, "-o", str(made.folder / "b.tar.gz")).returncode == 0
    with tarfile.open(made.folder / "b.tar.gz") as archive:
        members = {m.name: archive.extractfile(m) for m in archive}
        packed = {f"bundle {name}": file.read() for name, file in members.items() if file}
    state = made.folder / "state"
    kept = {str(p): p.read_bytes() for p in state.rglob("*") if p.is_file()}
    return {
        **{name: (c.stdout + c.stderr).encode() for name, c in commands.items()},
        **packed,
        **kept,
        "metrics": made.metrics().encode(),
        "landing": httpx.get(made.exporter, trust_env=False).content,
        "journal": made.log().encode(),
        "webhook": b"\n".join(bodies),
    }


def test_planted_secrets_are_on_no_surface(tmp_path: Path, outcome: Outcome) -> None:
    with receiver(HOOK) as (url, bodies):
        more = (
            f'\n[engines.chat.env]\nHF_TOKEN = "{TOKEN}"\nVLLM_API_KEY = "{KEY}"\n'
            f'[notify]\nwebhook_url = "{url}"\n'
        )
        with serving(tmp_path, more=more) as made:
            log = tmp_path / "log" / "chat.log"
            before = made.engine("chat")
            with log.open("a") as file:  # what an engine should not print, and does
                file.write(f"OSError: 401 for token {TOKEN}, key {KEY} of {getpass.getuser()}\n")
                file.write(f"DEBUG Request cmpl-1 details: prompt: '{PROMPT}', x: None\n")
                file.write(f"INFO host {socket.gethostname()} at 10.11.12.13\n")
            os.kill(made.process("chat", "VLLM::EngineCore").pid, signal.SIGKILL)
            made.wait_new_run("chat", before, 30)
            wait_for("both notices", lambda: len(bodies) == 2)
            found = surfaces(made, bodies)
    assert len(found) > 25
    for name, content in found.items():
        for secret in (TOKEN, KEY, HOOK):
            assert secret.encode() not in content, (secret, name)
    packed = {name: c for name, c in found.items() if name.startswith("bundle ")}
    private = [PROMPT, "10.11.12.13", socket.gethostname()]
    if (user := getpass.getuser()) not in ("root", "nobody"):
        private.append(user)
    for name, content in packed.items():
        for word in private:
            whole = rb"(?<![\w-])%s(?![\w-])" % re.escape(word.encode())  # "vm" is no "total-vm"
            assert not re.search(whole, content), (word, name)
    assert b"[prompt removed]" in b"".join(packed.values())
    first, last = (json.loads(body) for body in bodies)
    assert (first["status"], last["status"]) == ("firing", "resolved")
    assert first["text"].partition("Why: ")[2].startswith("The part of vLLM that computes")
    outcome("secrets, prompts and names planted", f"absent from all {len(found)} surfaces")
