"""Engines that sleep and wake, with the stand-in: by command, by time, in turns, over deaths."""

import json
import os
import signal
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.helpers.ports import free_port
from tests.helpers.site import DAEMON, Site, site, wait_for
from tests.helpers.web import CERTIFICATES, MUTUAL, PASSWORD, USERS, write

ENGINE = """
[engines.{name}]
model = "m-{name}"
served_model_name = "{name}"
executable = "stand-in"
port = {port}
unready_s = 0
drain_s = 5
stop_grace_s = 5
restart = {{ initial_s = 0.1, max_s = 1 }}
{keys}

[engines.{name}.sleep]
{sleep}
"""
GPU = '\n[gpu]\nsource = "demo"\nevery_s = 0.2\nprocesses_s = 0.5\n'


@contextmanager
def host(
    folder: Path, *engines: tuple[str, str], keys: str = "", web: str = "", **env: str
) -> Iterator[Site]:
    """Run a daemon with engines: their names and their tables `sleep`; `web` is its web.yml."""
    exporter, ports = free_port(), {name: free_port() for name, _ in engines}
    text = DAEMON.format(folder=folder, exporter=exporter) + "poll_s = 0.3\n"
    text += f'web_config_file = "{write(folder / "web", web)}"\n' if web else ""
    text += GPU
    for name, sleep in engines:
        text += ENGINE.format(name=name, port=ports[name], sleep=sleep, keys=keys)
    env.setdefault("VLLMD_STAND_IN_WEIGHTS_GIB", "0.5")  # whatever room others leave on this host
    os.environ.update(env)
    try:
        first = ports[engines[0][0]]
        with site(folder, text, exporter_port=exporter, api_port=first) as made:
            yield made
    finally:
        for name in env:
            del os.environ[name]


@pytest.fixture
def chat(tmp_path: Path) -> Iterator[Site]:
    with host(tmp_path, ("chat", "")) as made:
        made.wait_state("chat", "ready", 60)
        yield made


def events(made: Site, *names: str) -> list[tuple[str, dict[str, Any]]]:
    said = made.vllmd("events", "--json", "-c", str(made.config)).stdout
    found = [json.loads(line) for line in said.splitlines()]
    return [(each["name"], each["fields"]) for each in found if each["name"] in names]


def states(made: Site, name: str = "chat") -> list[str]:
    said = made.vllmd("events", "--json", "-c", str(made.config), name).stdout
    found = [json.loads(line) for line in said.splitlines()]
    return [e["fields"]["state"] for e in found if e["name"] == "engine.state_changed"]


def sleep_of(made: Site, name: str = "chat") -> dict[str, Any]:
    found: dict[str, Any] = made.engine(name)["sleep"]
    return found


def ready(made: Site, name: str = "chat") -> httpx.Response:
    return httpx.get(f"{made.exporter}/ready/{name}")


def asks(made: Site, name: str = "chat") -> str:
    return str(
        made.client().completions.create(model=name, prompt="a", max_tokens=2).choices[0].text
    )


@pytest.mark.parametrize("level", [1, 2])
def test_engine_sleeps_by_command_gives_memory_back_and_is_woken(chat: Site, level: int) -> None:
    before = chat.engine("chat")
    wait_for("memory", lambda: chat.engine("chat")["gpu_memory_bytes"])
    done = chat.vllmd("sleep", "chat", "--level", str(level))
    assert done.returncode == 0, done.stderr
    assert f"asleep at level {level} by" in done.stdout
    assert "of GPU memory given back, 862.0 MiB held" in done.stdout
    assert chat.engine("chat")["state"] == "sleeping"
    answer = ready(chat)
    assert answer.status_code == 503
    assert answer.text == "chat: sleeping ('vllmd wake chat' wakes it)\n"
    assert sleep_of(chat)["freed_bytes"] > 60e9
    done = chat.vllmd("wake", "chat", "--json")
    assert json.loads(done.stdout)["state"] == "ready"
    assert ready(chat).status_code == 200
    assert asks(chat)
    after = chat.engine("chat")
    assert after["run_id"] == before["run_id"]
    (slept, woke) = events(chat, "engine.slept", "engine.woke")
    assert (slept[1]["sleep_level"], woke[1]["sleep_level"]) == (level, level)
    log = (chat.folder / "log" / "chat.log").read_text()
    assert log.count("Reloading weights inplace") == (1 if level == 2 else 0)
    assert states(chat)[-3:] == ["draining", "sleeping", "ready"]


def test_engine_that_is_busy_past_its_drain_serves_on(tmp_path: Path) -> None:
    with host(tmp_path, ("chat", "")) as made:
        made.wait_state("chat", "ready", 60)
        text = made.config.read_text()
        made.config.write_text(text.replace("drain_s = 5", "drain_s = 1"))
        made.vllmd("reload", "--apply")
        made.wait_state("chat", "ready", 60)
        answers: list[int] = []

        def asked() -> None:
            whole = made.client().completions.create(model="chat", prompt="a", max_tokens=1500)
            answers.append(whole.usage.completion_tokens if whole.usage else 0)

        client = threading.Thread(target=asked)
        client.start()
        wait_for("busy", lambda: made.engine("chat")["busy"])
        done = made.vllmd("sleep", "chat")
        assert done.returncode == 65
        assert "1 requests run after drain_s (1 s)" in done.stderr
        client.join()
        assert answers == [1500], "no request was cut"
        assert made.engine("chat")["state"] == "ready"
        assert states(made)[-2:] == ["draining", "ready"]
        ((_, refused),) = events(made, "engine.sleep_refused")
        assert refused["wanted"] == "asleep"


def test_requests_in_flight_finish_before_it_sleeps(chat: Site) -> None:
    answers: list[int] = []

    def asked() -> None:
        whole = chat.client().completions.create(model="chat", prompt="a", max_tokens=800)
        answers.append(whole.usage.completion_tokens if whole.usage else 0)

    client = threading.Thread(target=asked)
    client.start()
    wait_for("busy", lambda: chat.engine("chat")["busy"])
    assert chat.vllmd("sleep", "chat").returncode == 0
    client.join()
    assert answers == [800]
    assert chat.engine("chat")["state"] == "sleeping"


def test_engine_without_a_request_sleeps(tmp_path: Path) -> None:
    with host(tmp_path, ("chat", "after_idle_s = 1")) as made:
        made.wait_state("chat", "sleeping", 60)
        assert events(made, "engine.slept")[0][1]["by"] == "idle"
        assert made.vllmd("wake", "chat", "--timeout", "60").returncode == 0
        made.wait_state("chat", "sleeping", 30)


def test_engine_outside_its_times_sleeps_and_a_wake_holds(tmp_path: Path) -> None:
    with host(tmp_path, ("chat", f'schedule = "{_not_now()}"')) as made:
        made.wait_state("chat", "sleeping", 60)
        assert events(made, "engine.slept")[0][1]["by"] == "schedule"
        assert made.vllmd("wake", "chat", "--timeout", "60").returncode == 0
        assert sleep_of(made)["changes_at"] is not None
        before = made.engine("chat")
        made.kill_daemon()
        made.start()
        made.wait_state("chat", "ready", 30)
        assert made.engine("chat")["run_id"] == before["run_id"]
        assert sleep_of(made)["wanted"] == "awake", "the wish outlives the daemon"


def _not_now() -> str:
    """Return times of a week that are three days away."""
    names = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    return f"{names[(time.localtime().tm_wday + 3) % 7]} 08:00-09:00"


@pytest.mark.parametrize("level", [1, 2])
def test_daemon_that_is_killed_finds_the_engine_asleep(chat: Site, level: int) -> None:
    assert chat.vllmd("sleep", "chat", "--level", str(level)).returncode == 0
    before = chat.engine("chat")
    wait_for("the history", lambda: "sleeping" in states(chat))
    chat.kill_daemon()
    chat.start()
    chat.wait_state("chat", "sleeping", 30)
    after = chat.engine("chat")
    assert after["run_id"] == before["run_id"]
    assert after["sleep"]["level"] == level
    assert states(chat)[-1] == "sleeping", "it was never taken for one that serves"
    assert chat.vllmd("wake", "chat", "--timeout", "60").returncode == 0
    log = (chat.folder / "log" / "chat.log").read_text()
    assert log.count("Reloading weights inplace") == (1 if level == 2 else 0)


@pytest.mark.parametrize("level", [1, 2])
def test_daemon_that_is_killed_while_the_engine_falls_asleep(tmp_path: Path, level: int) -> None:
    with host(tmp_path, ("chat", ""), VLLMD_STAND_IN_SLEEP_S="2") as made:
        made.wait_state("chat", "ready", 60)
        made.vllmd("sleep", "chat", "--level", str(level), "--no-wait")
        wait_for("the note", lambda: sleep_of(made)["asleep_at"])
        made.kill_daemon()
        made.start()
        # one that had not heard of it is drained anew
        wait_for("asleep", lambda: _is_sleeping(made) and _sleeps(made), 60)
        assert made.engine("chat")["state"] == "sleeping"
        assert made.vllmd("wake", "chat", "--timeout", "60").returncode == 0
        assert asks(made)


@pytest.mark.parametrize("level", [1, 2])
def test_daemon_that_is_killed_while_the_engine_wakes(tmp_path: Path, level: int) -> None:
    with host(tmp_path, ("chat", f"level = {level}"), VLLMD_STAND_IN_SLEEP_S="1") as made:
        made.wait_state("chat", "ready", 60)
        assert made.vllmd("sleep", "chat").returncode == 0
        made.vllmd("wake", "chat", "--no-wait")
        wait_for("it is to wake", lambda: sleep_of(made)["wanted"] == "awake")
        made.kill_daemon()
        made.start()
        made.wait_state("chat", "ready", 60)
        log = (made.folder / "log" / "chat.log").read_text()
        assert log.count("Reloading weights inplace") >= (1 if level == 2 else 0)
        assert asks(made)


def _sleeps(made: Site) -> bool:
    """Tell whether vllmd, too, takes it for asleep; it may look a moment later."""
    return bool(made.engine("chat")["state"] == "sleeping")


def _is_sleeping(made: Site) -> bool:
    return bool(httpx.get(f"{made.api}/is_sleeping", timeout=10).json()["is_sleeping"])


def test_engine_that_dies_asleep_is_started_and_put_to_sleep_again(chat: Site) -> None:
    assert chat.vllmd("sleep", "chat").returncode == 0
    before = chat.engine("chat")
    os.kill(before["pid"], signal.SIGKILL)
    wait_for("another run", lambda: chat.engine("chat")["run_id"] not in (None, before["run_id"]))
    chat.wait_state("chat", "sleeping", 60)


def test_engine_that_dies_asleep_waits_for_its_wake_if_that_is_wanted(tmp_path: Path) -> None:
    with host(tmp_path, ("chat", "restart = false")) as made:
        made.wait_state("chat", "ready", 60)
        assert made.vllmd("sleep", "chat").returncode == 0
        before = made.engine("chat")
        os.kill(before["pid"], signal.SIGKILL)
        wait_for("told", lambda: "sleep.restart is false" in (made.engine("chat")["problem"] or ""))
        assert made.engine("chat")["run_id"] is None
        assert made.vllmd("wake", "chat", "--timeout", "60").returncode == 0
        assert made.engine("chat")["state"] == "ready"


def test_engine_whose_wake_fails_is_started_anew_and_the_cause_is_told(tmp_path: Path) -> None:
    with host(tmp_path, ("chat", ""), VLLMD_STAND_IN_FAILS="/wake_up") as made:
        made.wait_state("chat", "ready", 60)
        assert made.vllmd("sleep", "chat").returncode == 0
        before = made.engine("chat")
        made.vllmd("wake", "chat")
        made.wait_new_run("chat", before, 60)
        last = made.engine("chat")["last_exit"]
        assert (last["label"], last["diagnosis"]["cause"]) == ("wake_failed", "wake_failed")
        assert "out of memory" in last["error"]


def test_hidden_sleep_is_no_hang_and_another_clients_wake_is_seen(tmp_path: Path) -> None:
    liveness = "liveness = { stall_s = 0.5, hang_s = 20, canary = true, canary_every_s = 0.5 }"
    with host(tmp_path, ("chat", ""), keys=liveness) as made:
        made.wait_state("chat", "ready", 60)
        assert made.vllmd("sleep", "chat").returncode == 0
        before = made.engine("chat")
        time.sleep(3)  # six times stall_s
        assert made.engine("chat")["run_id"] == before["run_id"]
        assert made.engine("chat")["state"] == "sleeping"
        httpx.post(f"{made.api}/wake_up")
        made.wait_state("chat", "ready", 30)
        assert events(made, "engine.woke")[-1][1]["by"] == "another client"
        httpx.post(f"{made.api}/sleep?level=1")
        made.wait_state("chat", "sleeping", 30)
        assert sleep_of(made)["by"] == "another client"
        assert made.vllmd("wake", "chat", "--timeout", "60").returncode == 0


def test_engine_without_the_table_is_refused_with_the_reason(tmp_path: Path) -> None:
    with host(tmp_path, ("chat", "")) as made:
        text = made.config.read_text().replace("[engines.chat.sleep]", "")
        made.config.write_text(text)
        made.vllmd("reload", "--apply")
        wait_for("no sleep mode", lambda: made.engine("chat")["sleep"] is None)
        made.wait_state("chat", "ready", 60)
        done = made.vllmd("sleep", "chat")
        assert done.returncode == 65
        assert "write the table [engines.chat.sleep]" in done.stderr


def test_engines_that_share_a_gpu_are_awake_in_turns(tmp_path: Path) -> None:
    share = 'share = "gpu0"'
    with host(tmp_path, ("chat", share), ("code", share)) as made:
        made.wait_state("code", "ready", 60)
        assert made.engine("chat")["state"] == "sleeping"
        assert made.vllmd("wake", "chat", "--timeout", "60").returncode == 0
        assert (made.engine("chat")["state"], made.engine("code")["state"]) == ("ready", "sleeping")
        order = [
            (name, fields["by"]) for name, fields in events(made, "engine.slept", "engine.woke")
        ]
        assert order[-2] == ("engine.slept", "the turn of chat")
        assert order[-1][0] == "engine.woke"
        before = made.engine("code")
        os.kill(before["pid"], signal.SIGKILL)
        wait_for("it waits", lambda: made.engine("code")["sleep"]["turn_of"] == "chat")
        assert made.engine("chat")["state"] == "ready", "one that died asleep takes no turn"
        assert made.vllmd("wake", "code", "--timeout", "60").returncode == 0
        assert made.engine("chat")["state"] == "sleeping"


def test_user_of_the_web_configuration_wakes_an_engine_and_nobody_else(tmp_path: Path) -> None:
    with host(tmp_path, ("chat", "http_wake = true"), ("code", ""), web=USERS) as made:
        for name in ("chat", "code"):
            made.wait_state(name, "ready", 60)
            assert made.vllmd("sleep", name).returncode == 0
        wake, user = f"{made.exporter}/wake/chat", ("prometheus", PASSWORD)
        assert httpx.post(wake).status_code == 401
        assert httpx.post(wake, auth=("prometheus", "wrong")).status_code == 401
        assert httpx.get(wake, auth=user).status_code == 405
        assert httpx.post(wake, auth=user, headers={"origin": "http://x.y"}).status_code == 403
        assert httpx.post(f"{made.exporter}/wake/code", auth=user).status_code == 403
        assert made.engine("chat")["state"] == "sleeping"
        assert httpx.post(wake, auth=user).status_code == 202
        made.wait_state("chat", "ready", 30)
        assert events(made, "engine.woke")[-1][1]["by"] == "prometheus, by HTTP"
        assert made.engine("code")["state"] == "sleeping"


def test_client_certificate_wakes_an_engine(tmp_path: Path) -> None:
    with host(tmp_path, ("chat", "http_wake = true"), web=MUTUAL) as made:
        made.wait_state("chat", "ready", 60)
        assert made.vllmd("sleep", "chat").returncode == 0
        wake = made.exporter.replace("http:", "https:").replace("127.0.0.1", "localhost")
        context = ssl.create_default_context(cafile=str(CERTIFICATES / "authority.pem"))
        context.load_cert_chain(CERTIFICATES / "client.pem", CERTIFICATES / "client.key")
        assert httpx.post(f"{wake}/wake/chat", verify=context).status_code == 202
        made.wait_state("chat", "ready", 30)


def test_exporter_without_users_wakes_nothing(tmp_path: Path) -> None:
    with host(tmp_path, ("chat", "")) as made:
        made.wait_state("chat", "ready", 60)
        assert made.vllmd("sleep", "chat").returncode == 0
        answer = httpx.post(f"{made.exporter}/wake/chat")
        assert answer.status_code == 403
        assert "only a user or a client certificate" in answer.text
        assert made.engine("chat")["state"] == "sleeping"
