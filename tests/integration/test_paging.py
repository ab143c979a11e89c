"""Faults to pages: the right alert arrives at a webhook, with the right words, and no other.

Three hosts beside each other, a real Prometheus and a real Alertmanager as etc/ configures them,
rules 60 times as fast. The table that is printed at the end is the one of docs/monitoring.md.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import openai

from tests.helpers.disk import fill, small_disk
from tests.helpers.nvml import GIB, FakeNvml, h200
from tests.helpers.paging import WATCHDOG, Host, Pager, Row, paging
from tests.helpers.ports import free_port
from tests.helpers.reading import reader_pids
from tests.helpers.site import Load, Site, needs, site, wait_for
from tests.integration.conftest import GPU_CONFIG, config_for
from vllmd.monitoring.settings import RuleSettings
from vllmd.shim import proc

LATE_S = 5.0
"""As late as no daemon is on a busy host: the minute of that figure is no faster here."""
TABLE = Path(__file__).parents[2] / "build" / "faults.md"


@contextlib.contextmanager
def gpu_site(folder: Path, **env: str) -> Iterator[tuple[Site, FakeNvml]]:
    """Run a host with one scripted GPU, of which the engine's core holds half."""
    folder.mkdir()
    fake = FakeNvml(folder, h200() | {"gpu.0.field.230": "1 0"})
    fake.uses()
    exporter, api = free_port(), free_port()
    text = GPU_CONFIG.format(folder=folder, exporter=exporter, api=api)
    with site(folder, text, exporter_port=exporter, api_port=api, **fake.env, **env) as made:
        made.wait_state("chat", "ready")
        fake.uses((core(made), 60 * GIB))
        yield made, fake
        fake.uses()  # a stop waits for it


def core(made: Site) -> int:
    return made.process("chat", "VLLM::EngineCore").pid


@contextlib.contextmanager
def chat_site(folder: Path, disk: Path) -> Iterator[Site]:
    """Run a host without a GPU, with an adapter, whose log is on a small disk."""
    exporter, api = free_port(), free_port()
    text = config_for(folder, exporter, api)
    text = text.replace(
        "[engines.chat.liveness]", "[engines.chat.liveness]\nrestart_stalled = false"
    )
    text = text.replace(f'log_dir = "{folder}/log"', f'log_dir = "{disk}"')
    text = text.replace("max_s = 1 }", "max_s = 1, max_failures = 7 }")
    with site(folder, text, exporter_port=exporter, api_port=api) as made:
        made.wait_state("chat", "ready")
        yield made


def remember_as_ours(made: Site, pid: int) -> None:
    """Let the daemon believe that a process was an engine's, as after its shim was killed."""
    notes = made.folder / "state" / "gpus.json"
    wait_for("the notes", notes.exists)
    stat = proc.read_stat(pid)
    assert stat is not None
    made.stop(signal.SIGINT)
    record = json.loads(notes.read_text())
    record["processes"].append([pid, stat.start_ticks, "chat"])
    notes.write_text(json.dumps(record))
    made.start()
    made.wait_state("chat", "ready")


def on_an_engine(host: Host, made: Site, disk: Path) -> None:
    """Do to an engine and its daemon what nights do."""
    with Load(made), host.fault("nothing: a busy engine", calm_s=10):
        pass
    with host.fault("a person restarts the engine", calm_s=4):
        assert made.vllmd("restart", "chat").returncode == 0
    made.wait_state("chat", "ready")

    adapter = made.folder / "lora" / "sql"
    with host.fault("an adapter's files are gone", "VllmdAdapterNotLoaded"):
        shutil.move(adapter, made.folder / "aside")
        body = {"lora_name": "sql"}
        httpx.post(f"{made.api}/v1/unload_lora_adapter", json=body, trust_env=False)
    shutil.move(made.folder / "aside", adapter)
    host.wait_over("VllmdAdapterNotLoaded")

    held = core(made)
    with host.fault("the engine hangs", "VllmdEngineStalled"):
        os.kill(held, signal.SIGSTOP)
        asking = threading.Thread(target=_ask, args=(made,))
        asking.start()
    os.kill(held, signal.SIGCONT)
    asking.join()
    host.wait_over("VllmdEngineStalled")

    good = made.config.read_text()
    with host.fault("a broken configuration", "VllmdConfigRefused"):
        made.config.write_text(good + "\n[engines.chat\n")
        made.daemon.send_signal(signal.SIGHUP)
    made.config.write_text(good)
    made.daemon.send_signal(signal.SIGHUP)
    host.wait_over("VllmdConfigRefused")
    made.wait_state("chat", "ready")

    with host.fault("the disk of the log is full", "VllmdDiskFull", "VllmdLogsDropped"):
        filler = fill(disk)
        with open(f"/proc/{made.engine('chat')['pid']}/fd/1", "w") as printed:
            printed.write("a line that finds no room\n" * 1000)
    filler.unlink()
    host.wait_over("VllmdDiskFull", "VllmdLogsDropped")

    with host.fault("the daemon is killed", "VllmdDown"):
        made.kill_daemon()
    made.start()
    made.wait_state("chat", "ready")
    host.wait_firing("VllmdDaemonFailed")
    host.wait_over("VllmdDown", "VllmdDaemonFailed")

    with host.fault("five crashes", "VllmdEngineRestartLoop", calm_s=2):
        for _ in range(5):
            _crash(made)
    with host.fault("two more", "VllmdEngineHeld"):
        _crash(made)
        os.kill(core(made), signal.SIGKILL)
        made.wait_state("chat", "held")


def _ask(made: Site) -> None:
    with contextlib.suppress(openai.OpenAIError):
        made.chat("tiny")


def _crash(made: Site) -> None:
    before = made.engine("chat")
    os.kill(core(made), signal.SIGKILL)
    made.wait_new_run("chat", before, 30)


def on_a_gpu(host: Host, made: Site, fake: FakeNvml, orphan: int) -> None:
    """Do to a GPU what drivers, neighbours and heat do."""
    fake.uses()
    host.wait_over("VllmdVramOrphan")
    mine = (core(made), 60 * GIB)
    with host.fault("nothing: half of the GPU is the engine's", calm_s=6):
        pass
    with host.fault("a dead engine's process holds memory", "VllmdVramOrphan"):
        fake.uses(mine, (orphan, 30 * GIB))
    fake.uses(mine)
    host.wait_over("VllmdVramOrphan")

    with host.fault("somebody's notebook takes 3 GiB", "VllmdVramForeign"):
        fake.uses(mine, (os.getpid(), 3 * GIB))
    foreign = "a notebook takes 75 GiB: no room to restart"
    with host.fault(foreign, "VllmdVramRestartWontFit"):
        fake.uses(mine, (os.getpid(), 75 * GIB))
    fake.uses(mine)
    host.wait_over("VllmdVramForeign", "VllmdVramRestartWontFit")

    with host.fault("a person lets go of the GPUs for a reset", calm_s=8):
        assert made.vllmd("gpu", "release", "--for", "10m").returncode == 0
    assert made.vllmd("gpu", "release", "--resume").returncode == 0

    for what, alert, change, well in (
        ("rows to be replaced", "VllmdGpuRowRemapPending", {"remapped": "0 1 1 0"}, "0 0 0 0"),
        ("no spare rows left", "VllmdGpuRowRemapFailed", {"remapped": "0 1 0 1"}, "0 0 0 0"),
        ("uncorrected ECC errors", "VllmdGpuEccUncorrected", {"ecc.1.0": 2}, 0),
        ("the driver asks for a reset", "VllmdGpuRecoveryAction", {"field.230": "1 1"}, "1 0"),
    ):
        with host.fault(what, alert):
            fake.change(**change)
        fake.change(**dict.fromkeys(change, well))
        host.wait_over(alert)

    with host.fault("the GPU falls off the bus", "VllmdGpuLost"):
        fake.change(lost=1)
    fake.change(lost=None)
    host.wait_over("VllmdGpuLost")

    with host.fault("Xid 79", "VllmdGpuXidFatal"):
        fake.change_keys({"event": "1 0 79"})

    with host.fault("the driver is upgraded underneath", "VllmdDriverMismatch"):
        fake.change_keys({"init": 18})
        for reader in reader_pids(made.daemon.pid):
            os.kill(reader, signal.SIGKILL)
    fake.change_keys({"init": 0})


def on_a_leak(host: Host, made: Site, fake: FakeNvml) -> None:
    """Let an engine grow for as long as a leak would."""
    pid = core(made)
    done = threading.Event()

    def grow() -> None:
        size = 60 * GIB
        while not done.wait(1):
            size += 60 * 2**20
            fake.uses((pid, size))

    growing = threading.Thread(target=grow)
    with host.fault("the engine leaks 60 MiB a minute", "VllmdVramLeak", within_s=180):
        growing.start()
    done.set()
    growing.join()


def test_each_fault_pages_for_what_it_is_and_for_nothing_else(tmp_path: Path) -> None:
    needs("prometheus-alertmanager")
    orphan = subprocess.Popen(["sleep", "300"])
    rows: list[list[Row]] = [[], [], []]
    try:
        with (
            small_disk(tmp_path / "disk", "40m") as disk,
            chat_site(_folder(tmp_path, "c"), disk) as chat,
            gpu_site(tmp_path / "g") as (gpu, fake),
            gpu_site(tmp_path / "l") as (leaks, leaking),
        ):
            remember_as_ours(gpu, orphan.pid)
            sites = (chat, gpu, leaks)
            targets = [made.exporter.removeprefix("http://") for made in sites]
            with paging(tmp_path / "p", targets, RuleSettings(late_s=LATE_S)) as pager:
                hosts = [Host(pager, *each) for each in zip(targets, rows, strict=True)]
                wait_for("the dead man's switch", lambda: WATCHDOG in pager.firing(""))
                work: list[Callable[[], None]] = [
                    lambda: on_an_engine(hosts[0], chat, disk),
                    lambda: on_a_gpu(hosts[1], gpu, fake, orphan.pid),
                    lambda: on_a_leak(hosts[2], leaks, leaking),
                ]
                with ThreadPoolExecutor(len(work)) as pool:
                    for future in [pool.submit(each) for each in work]:
                        future.result()
                check_words(pager)
    finally:
        orphan.kill()
        orphan.wait()
        TABLE.parent.mkdir(exist_ok=True)
        TABLE.write_text("\n".join(table([row for each in rows for row in each])) + "\n")
        print(TABLE.read_text())
    every = [row for each in rows for row in each]
    assert len(every) > 20
    wrong = [row for row in every if row.came != row.expected]
    assert not wrong


def check_words(pager: Pager) -> None:
    """Every message is of a receiver that it is for, and has words and a page that exists."""
    for message in pager.messages():
        severity = message.labels["severity"]
        wanted = {"critical": "pager", "warning": "team", "none": "dead-mans-switch"}[severity]
        assert message.receiver == wanted, message
        assert "<no value>" not in str(message.annotations), message
        if message.alert not in (WATCHDOG, "VllmdDown"):
            assert message.instance in message.annotations["summary"]
    pages = {m.annotations["runbook_url"] for m in pager.messages() if m.alert != WATCHDOG}
    assert pages
    for url in pages:
        answer = httpx.get(url, trust_env=False)
        assert answer.status_code == 200, url
        name = url.rpartition("/")[2].partition("?")[0]
        assert f"<h1>{name}</h1>" in answer.text


def table(rows: list[Row]) -> Iterator[str]:
    """Yield the table of faults and alerts, as docs/monitoring.md has it."""
    yield "| fault | alerts that came | after | words |"
    yield "| --- | --- | --- | --- |"
    for row in rows:
        alerts = ", ".join(sorted(row.came)) or "none"
        mark = "" if row.came == row.expected else f" (expected: {sorted(row.expected)})"
        after = f"{row.seconds:.0f} s" if row.expected else ""
        yield f"| {row.fault} | {alerts}{mark} | {after} | {row.words} |"


def _folder(path: Path, name: str) -> Path:
    (path / name).mkdir()
    time.sleep(0)
    return path / name
