"""Secrets, prompts, users and hosts that were planted, looked for on every surface."""

import getpass
import json
import os
import re
import signal
import socket
import tarfile
from pathlib import Path
from typing import Any

import httpx

from tests.helpers.outcomes import Outcome
from tests.helpers.receiver import receiver
from tests.helpers.site import Site, wait_for
from tests.integration.conftest import serving
from vllmd.shim import proc

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
            "why --log": ("why", "-c", config, "--log", f"{made.folder}/log/chat.log"),
            "check": ("check", "--config", config),
            "check --json": ("check", "--json", "--config", config),
            "doctor": ("doctor", "--offline", "--json", "--config", config),
            "gpu --json": ("gpu", "--json"),
            "cost --json": ("cost", "--json"),
            "lora list --json": ("lora", "list", "--json"),
            "traces --json": ("traces", "--json"),
            "reload": ("reload",),
        }.items()
    }
    assert made.vllmd("bundle", "-c", config, "-o", str(made.folder / "b.tar.gz")).returncode == 0
    with tarfile.open(made.folder / "b.tar.gz") as archive:
        members = {m.name: archive.extractfile(m) for m in archive}
        packed = {f"bundle {name}": file.read() for name, file in members.items() if file}
    folders = [made.folder / "state", made.folder / "run"]
    kept = {str(p): p.read_bytes() for f in folders for p in f.rglob("*") if p.is_file()}
    return {
        **{name: (c.stdout + c.stderr).encode() for name, c in commands.items()},
        **packed,
        **kept,
        "metrics": made.metrics().encode(),
        "landing": httpx.get(made.exporter, trust_env=False).content,
        "status.json": httpx.get(f"{made.exporter}/status.json?series", trust_env=False).content,
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


def test_each_of_several_keys_opens_the_api_and_none_is_an_argument(tmp_path: Path) -> None:
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "vllmd_api_key").write_text("first-key-4711\nsecond-key-4711\n")
    with serving(tmp_path, env={"CREDENTIALS_DIRECTORY": str(folder)}) as made:
        url = f"{made.api}/v1/models"
        asked = {
            key: httpx.get(url, headers={"Authorization": f"Bearer {key}"}, trust_env=False)
            for key in ("first-key-4711", "second-key-4711", "another")
        }
        assert [each.status_code for each in asked.values()] == [200, 200, 401]
        said = made.vllmd("check", "--config", str(made.config))
        lines = [proc.command_line(each.pid) for each in proc.all_processes()]
        assert any(f"{tmp_path}/run/api-keys/chat.yaml" in line for line in lines)
        for text in (*lines, made.log(), said.stdout, said.stderr):
            assert "key-4711" not in text


JWT = "eyJhbGciOiJIUzI1NiJ9.eyJjYW5hcnkiOjE4fQ.c2lnbmF0dXJl"
PEM = "-----BEGIN PRIVATE KEY-----\\nQ0FOQVJZLW9mLWEta2V5LTE5\\n-----END PRIVATE KEY-----\\n"
VARIABLES = {
    "HF_TOKEN": "canary-01-token",
    "DATABASE_URL": "postgres://ann:canary-02-password@db/x",
    "REDIS_URL": "redis://:canary-03-p%40ss@cache:6379/0",
    "PGPASSWORD": "canary-04-password",
    "AWS_SECRET_ACCESS_KEY": "canary-05-secret",
    "OPENAI_APIKEY": "canary-06-apikey",
    "SENTRY_DSN": "https://canary-07-dsn@sentry.example.org/1",
    "BLOB_URL": "https://blob.example.org/m?sv=1&sig=canary-08-signature",
    "LMCACHE_CONFIG": '{"remote": {"auth_token": "canary-09-token"}}',
    "TLS_PRIVATE_KEY": PEM,
    "OPENAI_API_KEY_1": "canary-25-numbered",
    "OPENAI_KEY2": "canary-26-numbered",
    "MY_TOKENS": "canary-27-plural",
    "DBPASS": "canary-28-glued",
    "SECRET_ID": "canary-29-id",
    "OTEL_EXPORTER_OTLP_HEADERS": "x-key=canary-30-header",
}
FLAG = (
    '{ kv_connector = "X", extra = { api_key = "canary-10-key", url = "amqp://u:canary-11-pw@q" } }'
)
CANARIES = [f"canary-{number:02}" for number in range(1, 21)]
PRINTED = (
    "OSError: 401 for hf_canary12abcdefghijklmnop and sk-proj-canary-13-abcdefghijkl",
    "error ghp_canary14abcdefghijklmnopqrst, glpat-canary-15-abcdefghijkl",
    "Authorization: Basic canary-16-abcdef= then Bearer canary-17-abcdef",
    f"jwt {JWT} and https://u:canary-18-password@mirror.example.org/m",
    "config {'secret_key': 'canary-19-secret'} AKIACANARY20ABCDEFGH",
    "ran vllm serve m --hf-token canary-31-flag --api-key canary-32-flag --port 1",
    "non-default args: {'api_key': ['canary-33-listed'], 'model': 'm'}, api_key=['canary-34']",
    "headers X-Api-Key: canary-35-header, HF_TOKEN: canary-36-name",
)
MODEL = "s3://ann:canary-21-model@bucket/m"
ADAPTER = "https://ann:canary-22-adapter@h/a"
CANARIES += [f"canary-{number}" for number in range(21, 37)]
SHAPED = ("canary12", "canary14", "AKIACANARY20", "Q0FOQVJZLW9mLWEta2V5LTE5", JWT.split(".")[1])


def test_canaries_of_every_kind_are_on_no_surface(tmp_path: Path, outcome: Outcome) -> None:
    """Values by their names, parts of values, flags, and what an engine prints that nobody knew."""
    env = "\n".join(f"{name} = {json.dumps(value)}" for name, value in VARIABLES.items())
    more = f"\n[engines.chat.env]\n{env}\n[engines.chat.flags]\nkv-transfer-config = {FLAG}\n"
    config: dict[str, Any] = {
        "model": MODEL,
        "lora": f'[engines.chat.lora]\nmodules = {{ sq = "{ADAPTER}" }}',
    }
    with receiver("canary-20-hook") as (url, bodies):
        more += f'[notify]\nwebhook_url = "{url}"\n'
        with serving(tmp_path, more=more.replace("\\\\n", "\\n"), **config) as made:
            before = made.engine("chat")
            with (tmp_path / "log" / "chat.log").open("a") as file:
                file.write("\n".join(PRINTED) + "\n")
            os.kill(made.process("chat", "VLLM::EngineCore").pid, signal.SIGKILL)
            made.wait_new_run("chat", before, 30)
            wait_for("both notices", lambda: len(bodies) == 2)
            found = surfaces(made, bodies)
            for asked in (["logs", "chat"], ["logs", "chat", "--json"]):
                found[" ".join(asked)] = made.vllmd(*asked).stdout.encode()
            for pid in (int(each.name) for each in Path("/proc").glob("[0-9]*")):
                words = proc.command_line(pid)
                if "vllmd" in words and "vllmd.demo serve" not in words:  # that is the engine
                    found[f"arguments of {pid}"] = words.encode()
            modes = {p.name: p.stat().st_mode & 0o077 for p in (tmp_path / "run").rglob("*.json")}
    assert len(found) > 40
    assert any(name.endswith("reason.json") for name in found)
    warned = found["check"].decode()
    assert "flags.kv-transfer-config: has a secret" in warned
    assert "engines.chat.model: has a secret" in warned
    assert MODEL.partition("@")[2] in found["status --json"].decode()
    for name, content in found.items():
        text = content.decode(errors="replace")
        for canary in (*CANARIES, *SHAPED):
            assert canary not in text, (canary, name, text[max(0, text.find(canary) - 80) :][:200])
    assert all(not mode & 0o007 for mode in modes.values()), modes
    outcome("36 secrets of every kind planted", f"absent from all {len(found)} surfaces")
