"""Faults to pages, end to end: the right alert arrives at a webhook, and its end; no other does.

One host, a real Prometheus and a real Alertmanager as etc/ configures them, rules 60 times as fast.
That each alert is made by its cause, and alone, is in causes/; that each is sent to whom it is for,
in test_notified.py.
"""

import contextlib
import os
import signal
import threading
from pathlib import Path

import httpx
import openai

from tests.helpers.paging import WATCHDOG, Host, Pager, paging
from tests.helpers.site import Load, Site, needs, wait_for
from tests.integration.conftest import serving
from vllmd.monitoring.settings import RuleSettings

LATE_S = 5.0
"""As late as no daemon is on a busy host: the minute of that figure is no faster here."""


def test_fault_pages_for_what_it_is_and_for_nothing_else(tmp_path: Path) -> None:
    needs("prometheus-alertmanager")
    (tmp_path / "c").mkdir()
    with serving(tmp_path / "c") as made:
        made.config.write_text(
            made.config.read_text().replace(
                "[engines.chat.liveness]", "[engines.chat.liveness]\nrestart_stalled = false"
            )
        )
        assert made.vllmd("reload").returncode == 0
        made.wait_state("chat", "ready")
        address = made.exporter.removeprefix("http://")
        with paging(tmp_path / "p", [address], RuleSettings(late_s=LATE_S)) as pager:
            wait_for("the dead man's switch", lambda: WATCHDOG in pager.firing(""))
            do_what_nights_do(Host(pager, address), made)
            check_words(pager)


def do_what_nights_do(host: Host, made: Site) -> None:
    with Load(made), host.fault(calm_s=8):
        assert made.vllmd("restart", "chat").returncode == 0
        made.wait_state("chat", "ready")

    held = made.process("chat", "VLLM::EngineCore").pid
    with host.fault("VllmdEngineStalled"):
        os.kill(held, signal.SIGSTOP)
        asking = threading.Thread(target=ask, args=(made,))
        asking.start()
    os.kill(held, signal.SIGCONT)
    asking.join()
    host.wait_over("VllmdEngineStalled")

    good = made.config.read_text()
    with host.fault("VllmdConfigRefused"):
        made.config.write_text(good + "\n[engines.chat\n")
        made.daemon.send_signal(signal.SIGHUP)
    made.config.write_text(good)
    made.daemon.send_signal(signal.SIGHUP)
    host.wait_over("VllmdConfigRefused")
    made.wait_state("chat", "ready")

    with host.fault("VllmdDown"):
        made.kill_daemon()
    made.start()
    made.wait_state("chat", "ready")
    host.wait_firing("VllmdDaemonFailed")
    host.wait_over("VllmdDown", "VllmdDaemonFailed")


def ask(made: Site) -> None:
    with contextlib.suppress(openai.OpenAIError):
        made.chat("tiny")


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
