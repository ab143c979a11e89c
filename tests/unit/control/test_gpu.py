from pathlib import Path

import pytest

from tests.helpers.control import FakeEngine, FakeGpus, control_socket
from tests.helpers.make import gpu, gpu_figures
from vllmd.control.client import ControlClient
from vllmd.control.peer import Peer
from vllmd.errors import NotPermittedError, VllmdError


def test_gpus_are_shown(tmp_path: Path) -> None:
    gpus = FakeGpus(gpu_figures(gpu()))
    with control_socket(tmp_path / "c.sock", FakeEngine(), gpus=gpus) as path:
        assert ControlClient(path).gpus() == gpus.shown.to_json()


def test_orphans_are_reaped(tmp_path: Path) -> None:
    gpus = FakeGpus()
    gpus.killed = ["python (pid 7)"]
    with control_socket(tmp_path / "c.sock", gpus=gpus) as path:
        assert ControlClient(path).reap() == ["python (pid 7)"]


def test_release_takes_seconds_within_limits(tmp_path: Path) -> None:
    gpus = FakeGpus()
    with control_socket(tmp_path / "c.sock", gpus=gpus) as path:
        client = ControlClient(path)
        client.release(90.0)
        client.release(0.0)
        for seconds in (-1.0, 3601.0, float("nan")):
            with pytest.raises(VllmdError, match="from 0 to 3600"):
                client.release(seconds)
        with pytest.raises(VllmdError, match="seconds is 'soon': from 0 to 3600"):
            client._ask("POST", "/v1/gpu/release?seconds=soon")
    assert gpus.released == [90.0, 0.0]


def test_only_those_who_may_act_may_reap_and_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Peer, "may_act", lambda _: False)
    gpus = FakeGpus()
    with control_socket(tmp_path / "c.sock", gpus=gpus) as path:
        client = ControlClient(path)
        with pytest.raises(NotPermittedError, match="reap"):
            client.reap()
        with pytest.raises(NotPermittedError, match="release"):
            client.release(5.0)
        assert client.gpus()["gpus"] == []
    assert gpus.released == []
