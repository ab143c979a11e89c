"""What the package brings beside the daemon: hardening, secrets, words for the journal …"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from .cases import BRIEF
from .tools import API, CONFIG_PATH, EXPORTER, daemon_pid, engine, get, ready, sh, show, until

EXPOSURE_LIMIT = 2.0
"""Of systemd-analyze's 10."""

UNITS = Path(__file__).parent / "units"
CREDENTIALS = "/etc/vllmd/credentials"
NEEDRESTART = "/etc/needrestart/conf.d"
EXPORTER_UNIT = "vllmd-exporter.socket"
ELSEWHERE = "127.0.0.1:9841"
LOGIN = ("prometheus", "correct horse")
HASH = "$2b$04$etqqx019DgSYxGnC.aPytOJOb/8fKmNIWlSe6ScnQ3cr4eY3Pi4Vm"
"""Of that password."""


def hardening(row: dict[str, Any]) -> None:
    """Compare the units' exposure with that of what one would run instead."""
    ours = ["vllmd-daemon.service", "vllmd-engine@x.service"]
    others = [path.name for path in UNITS.iterdir()]
    for name in others:
        shutil.copy(UNITS / name, "/run/systemd/system")
    sh("systemctl daemon-reload")
    scores = {}
    for unit in (*ours, "vllmd-gpu-setup.service", *others):
        verdict = sh(f"systemd-analyze security --no-pager {unit} | tail -n 1")
        scores[unit] = row[unit.removesuffix(".service")] = float(verdict.split()[-3])
    for name in others:
        os.unlink(f"/run/systemd/system/{name}")
    sh("systemctl daemon-reload")
    assert max(scores[unit] for unit in ours) <= EXPOSURE_LIMIT, scores
    assert min(scores[unit] for unit in others) > EXPOSURE_LIMIT, scores


def what_lies_there(row: dict[str, Any]) -> None:
    """Look at manual pages, completions and what root's GPU unit says on a host without one."""
    share = Path("/usr/share")
    row["pages"] = len(list(share.glob("man/man1/vllmd*")) + list(share.glob("man/man5/vllmd*")))
    for path in ("bash-completion/completions/vllmd", "zsh/vendor-completions/_vllmd"):
        assert (share / path).exists(), path
    words = (
        'COMP_WORDS=(vllmd sta) COMP_CWORD=1; _vllmd_completion vllmd sta; echo "${COMPREPLY[@]}"'
    )
    row["completes"] = sh(f"source {share}/bash-completion/completions/vllmd; {words}")
    assert row["completes"] == "status start"
    said = sh("journalctl -u vllmd-gpu-setup -o cat")
    assert "no NVIDIA GPU on this host: nothing to do" in said, said
    assert show("vllmd-gpu-setup", "Result") == "success"


def secrets(row: dict[str, Any]) -> None:
    """Give an API key as a file of root's: the engine has it, and nothing else tells it."""
    key = f"{CREDENTIALS}/api_key"
    assert sh(f"stat -c '%U %G %a' {CREDENTIALS}") == "root vllmd 750"
    sh(f"umask 077; echo s3cret-k3y > {key}")
    before = ready()
    sh("systemctl restart vllmd-daemon")
    ready()
    if "what systemd took from" in sh("journalctl -u vllmd-daemon"):
        row["systemd"] = "hands out no credentials in this container: read as group vllmd"
        sh(f"chgrp vllmd {key}; chmod 640 {key}; systemctl restart vllmd-daemon")
    until("another command", lambda: engine().get("command_changed"))
    assert ready()["run_id"] == before["run_id"], "the engine serves on with what it had"
    sh("vllmd restart chat")
    pid = ready(other_than=before["run_id"])["pid"]
    assert "VLLM_API_KEY=s3cret-k3y" in _of(pid, "environ")
    assert "CREDENTIALS_DIRECTORY" not in _of(pid, "environ")
    for each in (pid, daemon_pid()):
        assert "s3cret" not in _of(each, "cmdline")
    try:
        row["without the key"] = get(f"{API}/v1/models")
    except OSError as error:
        row["without the key"] = str(error)
    assert "401" in row["without the key"]
    if not BRIEF:
        row["ask, as root"] = sh("vllmd ask --max-tokens 4 | tail -n 1")
        assert "first token after" in row["ask, as root"]
        assert "s3cret" not in sh("journalctl -b; vllmd check; vllmd status --json; vllmd events")
    shutil.rmtree(CREDENTIALS)  # somebody tidies up
    now = ready()
    sh("systemctl restart vllmd-daemon")
    until("another command", lambda: engine().get("command_changed"))
    sh("vllmd restart chat")
    assert "VLLM_API_KEY" not in _of(ready(other_than=now["run_id"])["pid"], "environ")
    sh("systemd-tmpfiles --create vllmd.conf")


def late_secret(row: dict[str, Any]) -> None:
    """Write a secret while the daemon runs: a reload says what has to be done."""
    key = Path(CREDENTIALS, "hf_token")
    sh(f"umask 077; echo x > {key}; vllmd reload")
    said = "config.warned.*credentials"
    found = until("a warning", lambda: sh(f"journalctl -u vllmd-daemon -o cat -g '{said}' -n 1"))
    row["after a reload"] = found
    words = ("came after the daemon started", "what systemd took from")
    assert any(each in found for each in words), found
    key.unlink()
    sh("vllmd reload")
    ready()


def exporter_access(row: dict[str, Any]) -> None:
    """Ask for a password, and listen elsewhere, as the documentation says."""
    web, override = (
        Path("/etc/vllmd/web.yml"),
        Path(f"/etc/systemd/system/{EXPORTER_UNIT}.d/o.conf"),
    )
    config = Path(CONFIG_PATH).read_text()
    assert "[daemon]" not in config
    keys = f'[daemon]\nlisten = "{ELSEWHERE}"\nweb_config_file = "{web}"\n'
    before = ready()
    try:
        web.write_text(f"basic_auth_users:\n  prometheus: {HASH}\n")
        sh(f"chgrp vllmd {web}; chmod 640 {web}")
        Path(CONFIG_PATH).write_text(keys + config)
        row["check"] = sh("vllmd check 2>&1 | head -n 1")
        assert f"daemon.listen: is not used: {EXPORTER_UNIT} of systemd" in row["check"]
        sh("systemctl restart vllmd-daemon")
        until("the page", lambda: get(f"{EXPORTER}/metrics", login=LOGIN))
        assert _refusal(f"{EXPORTER}/metrics") == "HTTP Error 401: Unauthorized"
        said = sh("journalctl -u vllmd-daemon -o cat -g 'the unit decides' -n 1")
        assert f"daemon.listen is {ELSEWHERE}" in said, said
        override.parent.mkdir(parents=True)
        override.write_text(f"[Socket]\nListenStream=\nListenStream={ELSEWHERE}\n")
        sh(f"systemctl daemon-reload; systemctl restart {EXPORTER_UNIT} vllmd-daemon")
        until("the page", lambda: get(f"http://{ELSEWHERE}/metrics", login=LOGIN))
        row["before"] = _refusal(f"{EXPORTER}/metrics")
        assert "refused" in row["before"]
        assert "is not used" not in sh("vllmd check")
    finally:
        shutil.rmtree(override.parent, ignore_errors=True)
        web.unlink()
        Path(CONFIG_PATH).write_text(config)
        sh(f"systemctl daemon-reload; systemctl restart {EXPORTER_UNIT} vllmd-daemon")
    until("the page", lambda: get(f"{EXPORTER}/metrics"))
    assert ready()["run_id"] == before["run_id"]


def _refusal(url: str) -> str:
    try:
        return get(url)
    except OSError as error:
        return str(error)


def _of(pid: int, what: str) -> str:
    return Path(f"/proc/{pid}/{what}").read_text()


def autopkgtest(row: dict[str, Any]) -> None:
    """Run what autopkgtest would; it wants the package as it is when it was just installed."""
    with open(CONFIG_PATH) as file:
        before = file.read()
    said = sh("/opt/t/serves 2>&1 && echo passed")
    row["debian/tests"] = said.splitlines()[-1]
    assert row["debian/tests"] == "passed", said
    with open(CONFIG_PATH, "w") as file:
        file.write(before)
    sh("systemctl disable vllmd")


def journal(row: dict[str, Any]) -> None:
    """Ask the journal by field, and read what a person reads."""
    wanted = "VLLMD_EVENT=engine.exited VLLMD_REQUESTED=false"
    entry = json.loads(sh(f"journalctl -q -u vllmd-daemon {wanted} -o json | tail -n 1"))
    row["fields"] = {
        name: entry[name] for name in ("VLLMD_EVENT", "VLLMD_ENGINE", "VLLMD_CAUSE", "PRIORITY")
    }
    assert entry["VLLMD_ENGINE"] == "chat"
    assert entry["SYSLOG_IDENTIFIER"] == "vllmd"
    lines = sh("journalctl -q -u 'vllmd*' -o short --no-hostname").splitlines()
    own = [line for line in lines if " vllmd[" in line]
    assert own
    assert not [line for line in own if "timestamp=" in line or "level=" in line]
    row["line"] = next(line for line in own if "state=ready" in line)


def status_text(row: dict[str, Any], config: str) -> None:
    """See the phase of a load, and what is left of it, in `systemctl status`."""
    with open(CONFIG_PATH, "w") as file:
        file.write(config.replace('LOAD_S = "0.5"', 'LOAD_S = "4"'))
    before = ready()
    sh("vllmd reload --apply")
    ready(other_than=before["run_id"])
    sh("vllmd restart chat")  # which knows how long the one before it took

    def loading() -> str:
        text = show("vllmd-daemon", "StatusText")
        return text if text.endswith("left)") else ""

    row["status"] = until("a phase", loading)
    with open(CONFIG_PATH, "w") as file:
        file.write(config)
    sh("vllmd reload --apply")
    ready()


def needrestart(row: dict[str, Any]) -> None:
    """Replace a library: needrestart restarts vllmd only where our file is not."""
    with open(f"{NEEDRESTART}/test.conf", "w") as file:
        file.write("$nrconf{override_rc}{qr(^(?!vllmd))} = 0;\n")  # nothing else of this system
    library = sh(f"grep -o '/[^ ]*libexpat[^ ]*' /proc/{daemon_pid()}/maps | head -n 1")
    sh(f"cp {library} {library}.new && mv {library}.new {library}")
    daemon = daemon_pid()
    row["needrestart"] = " ".join(sh("needrestart -r a < /dev/null 2>&1 | grep -i vllmd").split())
    assert "vllmd-daemon.service" in row["needrestart"], "it sees the library that is replaced"
    assert daemon_pid() == daemon
    os.rename(f"{NEEDRESTART}/vllmd.conf", "/root/vllmd.conf")
    sh("needrestart -r a < /dev/null")
    until("a restart without the file", lambda: daemon_pid() not in (0, daemon))
    os.rename("/root/vllmd.conf", f"{NEEDRESTART}/vllmd.conf")
    os.unlink(f"{NEEDRESTART}/test.conf")
    until("the daemon", lambda: show("vllmd-daemon", "ActiveState") == "active")
    ready()


def unchanged(row: dict[str, Any]) -> None:
    """Let dpkg compare what is installed with what was packed."""
    differing = sh("dpkg --verify vllmd").splitlines()
    row["dpkg -V"] = [line for line in differing if " c /etc/" not in line]
    assert row["dpkg -V"] == []
    assert sh("find /usr/lib/vllmd -name __pycache__") == ""
