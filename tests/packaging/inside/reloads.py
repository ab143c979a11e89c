"""A configuration that changes, or breaks, while an engine serves."""

from typing import Any

from .config import CONFIG, configure
from .load import Load
from .tools import CONFIG_PATH, EXPORTER, engine, get, ready, sh, show, until


def broken(row: dict[str, Any]) -> None:
    """Break the configuration: the daemon adopts, says so, and goes on once it is mended."""
    before = ready()
    with open(CONFIG_PATH, "a") as file:
        file.write("modle = 1\n")
    sh("systemctl restart vllmd-daemon")
    until("the daemon", lambda: "last_reload_successful 0" in get(f"{EXPORTER}/metrics"))
    now = ready()
    assert now["run_id"] == before["run_id"]
    row["status"] = show("vllmd-daemon", "StatusText")
    assert "engines.chat.restart" in row["status"] or "modle" in row["status"]
    assert "vllmd check" in row["status"]
    assert "vllmd check" in sh("vllmd status")
    configure(CONFIG)
    until("going on", lambda: "last_reload_successful 1" in get(f"{EXPORTER}/metrics"))
    assert ready()["run_id"] == before["run_id"]


def under_load(row: dict[str, Any]) -> None:
    """Reload while requests are answered: a broken file changes nothing."""
    before, daemon = ready(), show("vllmd-daemon", "MainPID")
    with Load() as load:
        configure("modle = 1\n")
        sh("systemctl reload vllmd-daemon")
        said = "journalctl -o cat -u vllmd-daemon | grep modle"
        until("a refusal", lambda: "nothing changed" in sh(said))
        assert ready()["model"] == before["model"]
        configure(CONFIG.replace("org/model", "org/other"))
        sh("systemctl reload vllmd-daemon")
        until("the new file", lambda: engine().get("command_changed"))
        after = ready()
    row.update(requests=load.requests, scrapes=load.scrapes, failed=len(load.failed))
    assert load.failed == load.cut == []
    keys = ("run_id", "model", "since", "adopted")  # it serves what it was started with
    assert [after[key] for key in keys] == [before[key] for key in keys]
    assert show("vllmd-daemon", "MainPID") == daemon
    configure(CONFIG)
    sh("systemctl reload vllmd-daemon")
    until("the old file", lambda: engine().get("command_changed") is False)
