"""One replica after another is restarted behind each balancer, while clients ask."""

import contextlib
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.ports import free_port
from tests.helpers.replicas import Clients, Replicas, answers, fleet, haproxy, replicas
from tests.helpers.servers import running as server
from tests.helpers.site import VLLMD, skip_or_fail, wait_for

SETTLE = "settle_s = 3\n"
ROUTER = Path(__file__).parents[2] / "build" / "vllm-router" / "bin" / "vllm-router"


@contextlib.contextmanager
def nginx(made: Replicas, *, again: bool = True) -> Iterator[str]:
    port, folder = free_port(), made.folder
    text = fleet(made, "export", "nginx", "--port", str(port)).stdout
    lines = [line for line in text.splitlines() if again or "proxy_next_upstream " not in line]
    (folder / "vllmd.conf").write_text("\n".join(lines))
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx-error.log;\n"
        f"events {{}}\nhttp {{ access_log off; include {folder}/vllmd.conf; }}\n"
    )
    url = f"http://127.0.0.1:{port}"
    arguments = ("-c", str(folder / "nginx.conf"))
    with server("nginx", *arguments, log=folder / "nginx.log", up=lambda: answers(url)):
        yield url


@contextlib.contextmanager
def router(made: Replicas) -> Iterator[str]:
    """Run vllm-router as its unit does, and the follower beside it."""
    if not ROUTER.exists():
        skip_or_fail("vllm-router is not installed: make several-hosts does it")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    unit = fleet(made, "export", "router", "--port", str(port)).stdout
    line = unit.split("ExecStart=")[1].split("\nRestart")[0].replace("\\\n", " ")
    metrics = ("--prometheus-port", str(free_port()))
    words = line.split()[1:]
    follow = ("fleet", "follow-router", "chat", "--router", url, "-c", str(made.config))
    log = made.folder / "router.log"
    with (
        server(str(ROUTER), *words, *metrics, log=log, up=lambda: answers(url)),
        server(str(VLLMD), *follow, log=made.folder / "follow.log", up=lambda: True),
    ):
        yield url


def roll(made: Replicas, url: str) -> Clients:
    """Restart every replica while clients ask; returns what they saw."""
    with Clients(url) as clients:
        wait_for("a first answer", lambda: clients.outcomes["answered"])
        done = fleet(made, "restart", "tiny")
        assert done.returncode == 0, done.stdout + done.stderr
    assert clients.asked > 50
    return clients


@pytest.mark.parametrize("names", [("chat",), ("chat-0", "chat-1")])
def test_haproxy_loses_nothing(tmp_path: Path, names: tuple[str, ...]) -> None:
    with replicas(tmp_path, names=names, fleet=SETTLE) as made, haproxy(made) as url:
        clients = roll(made, url)
        runs = {
            (host, name): site.engine(name)["last_exit"]["requested"]
            for host, site in made.sites.items()
            for name in names
        }
    assert clients.failed == {}
    assert len(runs) == 2 * len(names)
    assert all(runs.values())


def test_vllm_router_loses_nothing(tmp_path: Path) -> None:
    with replicas(tmp_path, fleet=SETTLE) as made, router(made) as url:
        clients = roll(made, url)
        log = (made.folder / "follow.log").read_text()
    assert clients.failed == {}
    assert log.count(": out, its /ready is red") == 2
    assert log.count(": in") == 2


def test_nginx_loses_what_its_export_says(tmp_path: Path) -> None:
    """With the line that sends a request again, nothing; without it, what meets the end."""
    with replicas(tmp_path, fleet=SETTLE) as made:
        with nginx(made) as url:
            sent_again = roll(made, url)
        with nginx(made, again=False) as url:
            sent_once = roll(made, url)
    print(f"nginx: {sent_again.asked} {sent_again.failed}; {sent_once.asked} {sent_once.failed}")
    assert sent_again.failed == {}
    assert sent_once.failed


def test_a_restart_stops_at_the_first_failure_and_the_other_serves_on(tmp_path: Path) -> None:
    with replicas(tmp_path, fleet=SETTLE) as made, haproxy(made) as url:
        (made.folder / "127.0.0.3" / "no-ssh").touch()
        with Clients(url) as clients:
            done = fleet(made, "restart", "chat")
        assert done.returncode == 1
        assert "No route to host" in done.stderr
        assert "restarted: chat on 127.0.0.2" in done.stderr
        (made.folder / "127.0.0.3" / "no-ssh").unlink()
        again = fleet(made, "restart", "chat", "--younger", "10m")
        assert again.stdout.count("left as it is") == 2  # both began within the test
    assert clients.failed == {}


def test_one_that_was_stopped_by_hand_is_left_and_the_last_one_is_kept(tmp_path: Path) -> None:
    with replicas(tmp_path, fleet=SETTLE) as made:
        assert made.sites["127.0.0.3"].vllmd("stop", "chat").returncode == 0
        done = fleet(made, "restart", "chat")
        shown = fleet(made, "status").stdout
    assert done.returncode == 75
    assert "was stopped by hand" in done.stdout
    assert "min_ready is 1" in done.stderr
    assert "tiny: 1 of 1 ready" in shown
    assert "stopped" in shown


def test_ctrl_c_ends_the_waiting_and_not_the_restart(tmp_path: Path) -> None:
    with replicas(tmp_path, fleet=SETTLE) as made:
        before = made.sites["127.0.0.2"].engine("chat")
        command = [str(VLLMD), "fleet", "restart", "chat", "-c", str(made.config)]
        rolling = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        host = made.sites["127.0.0.2"]
        wait_for("its drain", lambda: host.engine("chat")["state"] == "draining")
        time.sleep(1)  # the command that asked for it has ended
        rolling.send_signal(signal.SIGINT)
        _, said = rolling.communicate(timeout=30)
        assert rolling.returncode == 130
        assert b"asked to restart, and not seen to serve since: chat on 127.0.0.2" in said
        assert b"not touched: chat on 127.0.0.3" in said
        host.wait_new_run("chat", before, 60)
