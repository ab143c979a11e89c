"""vllmd as PID 1: it starts, serves, survives the death of each process, and ends."""

import json
import os
import signal
import threading
from pathlib import Path

from tests.container.box import CHAT, STAND_IN, container
from tests.container.image import Image
from tests.helpers.site import wait_for
from vllmd.shim import proc
from vllmd.util.units import MIB

ORPHANS = """
import os
for _ in range(1000):
    if os.fork() == 0:
        if os.fork() == 0:
            os._exit(0)
        os._exit(0)
    os.wait()
"""
PROBES = ("/-/started", "/-/ready", "/-/healthy")
HOG = "held = [bytearray(1 << 20) for _ in range(2000)]"


def test_first_start_serves_on_a_read_only_root_without_privileges(
    image: Image, folder: Path
) -> None:
    with container(image, folder) as box:
        box.wait_ready()
        assert [box.get(path)[0] for path in PROBES] == [200, 200, 200]
        assert box.ask() == "200 5"
        assert box.run("sh", "-c", "touch /etc/x || echo no", code=None) == "no\n"
        assert proc.command_line(box.first).split()[-2:] == ["/usr/bin/vllmd", "run"]
        daemon = [each for line, each in box.processes().items() if line.endswith("/vllmd run")]
        assert {each.ppid for each in daemon if each.pid != box.first} == {box.first}
        assert {os.stat(f"/proc/{each.pid}").st_uid for each in box.processes().values()} == {2000}
        wait_for("the engine's lines", lambda: "chat | INFO" in box.said)
        assert "engine=chat state=ready" in box.said
        assert (folder / "log" / "chat.log").stat().st_size
        shown = json.loads(box.run("vllmd", "check", "--json"))
        assert shown["variables"]["engines.chat.model"] == f"{CHAT}MODEL"


def test_sigterm_lets_a_request_in_flight_finish_and_ends_with_0(
    image: Image, folder: Path
) -> None:
    with container(image, folder) as box:
        box.wait_ready()
        answers: list[str] = []
        asking = threading.Thread(target=lambda: answers.append(box.ask(600)))
        asking.start()
        wait_for("a request", lambda: "num_requests_running{" in box.get("/metrics")[1])
        wait_for("it in flight", lambda: box.engine().get("requests_running") != 0)
        assert box.stop() == 0
        asking.join()
        assert answers == ["200 600"]
        assert "event=engine.end_proven" in box.said


def test_sigquit_ends_it_in_order(image: Image, folder: Path) -> None:
    with container(image, folder) as box:
        box.wait_ready()
        box.signal(signal.SIGQUIT)
        assert box.wait() == 0
        assert "event=engine.end_proven" in box.said


def test_each_process_may_be_killed(image: Image, folder: Path) -> None:
    with container(image, folder) as box:
        run = box.wait_ready()
        daemon = next(
            each
            for line, each in box.processes().items()
            if line.endswith("/vllmd run") and each.pid != box.first
        )
        os.kill(daemon.pid, signal.SIGKILL)
        wait_for("the first process tells", lambda: "another one in 0.5 s" in box.said)
        again = box.wait_ready()
        assert again["run_id"] == run["run_id"]  # the engine served on
        for word in ("vllmd/shim", "serve tiny", "EngineCore"):
            before = box.wait_ready()["run_id"]
            os.kill(box.find(word).pid, signal.SIGKILL)
            box.wait_ready(other_than=before)
            assert box.ask() == "200 5"
        wait_for("no zombie", lambda: not box.zombies())
        assert box.stop() == 0


def test_orphans_leave_no_zombie(image: Image, folder: Path) -> None:
    with container(image, folder) as box:
        box.wait_ready()
        box.run("python3", "-c", ORPHANS)
        wait_for("no zombie", lambda: not box.zombies())
        assert box.ask() == "200 5"


def test_start_again_takes_no_process_of_the_last_for_its_own(image: Image, folder: Path) -> None:
    for count in (1, 2):
        with container(image, folder) as box:
            box.wait_ready()
            assert ("its container ended while it ran" in box.said) == (count == 2), box.said


def test_memory_limit_that_is_reached_is_the_cause(image: Image, folder: Path) -> None:
    hog = json.dumps(["/usr/bin/python3", "-c", HOG])
    env = {**STAND_IN, f"{CHAT}EXECUTABLE": hog}
    with container(image, folder, env, memory=300 * MIB) as box:
        wait_for("its end", lambda: "event=engine.exited" in box.said)
        assert [box.get(path)[0] for path in PROBES] == [503, 503, 200]
        told = box.engine()["last_exit"]
        assert told["diagnosis"]["cause"] == "host_out_of_memory", told
        assert any("in its control group" in each for each in told["diagnosis"]["evidence"])
        found = json.loads(box.run("vllmd", "doctor", "--json", "--offline", code=1))["findings"]
        (memory,) = [each["found"] for each in found if each["check"] == "host-memory"]
        assert memory.startswith("a control group allows 300.0 MiB")


def test_configuration_that_cannot_be_used_ends_it_with_78(image: Image, folder: Path) -> None:
    with container(image, folder, {**STAND_IN, f"{CHAT}PROT": "1"}) as box:
        assert box.wait() == 78
        assert f'{CHAT}PROT: error: engines.chat.prot: is not a known key; did you mean "port"' in (
            box.said
        )
