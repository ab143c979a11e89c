"""The host: by the daemon's answers, or by what is there without one."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.make import config
from vllmd.config.load import load
from vllmd.doctor import host
from vllmd.doctor.account import UserAccount
from vllmd.doctor.seen import GpuFacts
from vllmd.gpu.host_memory import HostMemory
from vllmd.util.units import MIB

TEXT = '[engines.chat]\nmodel = "m"\nexecutable = "x"\nhost = "0.0.0.0"\nport = {port}\n'


def program(folder: Path, text: str, code: int = 0) -> str:
    path = folder / "smi"
    path.write_text(f"#!/bin/sh\nprintf '{text}'\nexit {code}\n")
    path.chmod(0o755)
    return str(path)


def test_nvidia_smi_is_read_in_mebibytes(tmp_path: Path) -> None:
    smi = program(tmp_path, "143771, 620, 143149\\n81559, 480, 100\\n")
    assert host.ask_nvidia_smi(smi) == (
        GpuFacts(143771 * MIB, 620 * MIB, 143149 * MIB),
        GpuFacts(81559 * MIB, 480 * MIB, 100 * MIB),
    )


def test_gpu_whose_memory_is_not_told_has_the_hosts_and_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a GB10 nvidia-smi says [N/A]; of one that is lost, this."""
    monkeypatch.setattr("vllmd.gpu.host_memory.read", lambda: HostMemory(100 * MIB, 60 * MIB))
    smi = program(
        tmp_path, "[N/A], [N/A], [N/A]\\n81559, 480, 100\\n[GPU is lost], [GPU is lost], 1\\n"
    )
    assert host.ask_nvidia_smi(smi) == (
        GpuFacts(100 * MIB, 0, 60 * MIB, unified=True),
        GpuFacts(81559 * MIB, 480 * MIB, 100 * MIB),
    )


def test_gpu_that_the_daemon_cannot_read_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "ask_nvidia_smi", lambda: ())
    values = {"memory_total_bytes": 100.0, "memory_reserved_bytes": 0.0, "memory_free_bytes": 5.0}
    disabled = [{"uuid": "G", "row": "power_watts"}, {"uuid": "", "row": "xid_events"}]
    gpus = {
        "gpus": [{"values": {}, "uuid": "G", "gpu": "1"}, {"values": values, "unified": True}],
        "reader": {"disabled_rows": disabled},
    }
    found = host.look(config(TEXT.format(port=1)), None, gpus)
    assert found.gpus == (GpuFacts(100, 0, 5, unified=True),)
    assert found.disabled_rows == ("power_watts of GPU 1", "xid_events of all GPUs")


def test_none_is_installed_and_it_fails_are_told_apart(tmp_path: Path) -> None:
    assert host.ask_nvidia_smi(str(tmp_path / "nothing")) == ()
    assert host.ask_nvidia_smi(program(tmp_path, "", 9)) is None
    assert host.ask_nvidia_smi(program(tmp_path, "[N/A], 1, 2\\n")) is None
    assert host.ask_nvidia_smi(program(tmp_path, "1, 2\\n")) is None


def test_capabilities_are_those_of_nvidia_smi(tmp_path: Path) -> None:
    assert host.ask_capabilities(program(tmp_path, "9.0\\n7.5\\n")) == [(9, 0), (7, 5)]
    for text, code in (("", 9), ("[N/A]\\n", 0), ("9\\n", 0)):
        assert host.ask_capabilities(program(tmp_path, text, code)) == []
    assert host.ask_capabilities(str(tmp_path / "nothing")) == []


@pytest.mark.parametrize(
    ("said", "known"),
    [
        ([(9, 0), (7, 5)], [(9, 0), (7, 5)]),
        ([(9, 0)], [(9, 0), (9, 0)]),  # one GPU in two instances
        ([(9, 0), (7, 5), (7, 5)], [None, None]),
        ([], [None, None]),
    ],
)
def test_capabilities_are_given_to_the_gpus_that_they_are_of(
    said: list[Any], known: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "ask_capabilities", lambda: said)
    monkeypatch.setattr(host, "ask_nvidia_smi", lambda: (GpuFacts(2, 1, 1), GpuFacts(3, 1, 1)))
    found = host.look(config(TEXT.format(port=1)), None, None).gpus
    assert found is not None
    assert [gpu.capability for gpu in found] == known


def test_daemon_is_asked_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "ask_nvidia_smi", lambda: ())
    values = {"memory_total_bytes": 100.0, "memory_reserved_bytes": 10.0, "memory_free_bytes": 5.0}
    gpus: dict[str, Any] = {"gpus": [{"values": values}]}
    status = {"engines": [{"name": "chat", "pid": 7}, {"name": "off", "pid": None}]}
    found = host.look(config(TEXT.format(port=1)), status, gpus)
    assert found.gpus == (GpuFacts(100, 10, 5),)
    assert found.running == {"chat"}
    assert found.open_files
    assert found.shared_memory_bytes
    assert host.look(config(TEXT.format(port=1)), None, {"gpus": [{"values": {}}]}).gpus == ()


def test_ports_that_answer_are_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "ask_nvidia_smi", lambda: ())
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = host.look(config(TEXT.format(port=port)), None, None)
    (holder,) = found.in_use.items()
    assert holder[0] == ("0.0.0.0", port)
    assert f"(pid {os.getpid()})" in holder[1]
    assert host.look(config(TEXT.format(port=port)), None, None).in_use == {}


@pytest.mark.parametrize("listens_itself", [True, False])
def test_port_of_an_engine_that_runs_is_in_use_if_another_listens(
    listens_itself: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "ask_nvidia_smi", lambda: ())
    text = "import socket, sys, time"
    text += "; s = socket.create_server(('127.0.0.1', int(sys.argv[1])))" if listens_itself else ""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        if listens_itself:
            server.close()
        command = [sys.executable, "-c", f"{text}; print(flush=True); time.sleep(60)", str(port)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as engine:
            assert engine.stdout is not None
            engine.stdout.readline()
            status = {"engines": [{"name": "chat", "pid": engine.pid}]}
            found = host.look(config(TEXT.format(port=port)), status, None)
            engine.kill()
    assert bool(found.in_use) is not listens_itself


def test_persistence_is_that_of_all_gpus(tmp_path: Path) -> None:
    assert host.persistence(program(tmp_path, "Enabled\\nEnabled\\n")) is True
    assert host.persistence(program(tmp_path, "Enabled\\nDisabled\\n")) is False
    assert host.persistence(program(tmp_path, "", 9)) is None
    assert host.persistence(str(tmp_path / "nothing")) is None


def test_devices_that_are_missing_or_closed_are_named(tmp_path: Path) -> None:
    somebody = UserAccount("vllmd", 4321, frozenset())
    for name, mode in (("nvidiactl", 0o666), ("nvidia0", 0o660), ("nvidia1", 0o666)):
        (tmp_path / name).touch()
        (tmp_path / name).chmod(mode)
    assert list(host.closed_devices(somebody, tmp_path)) == [
        f"{tmp_path}/nvidia-uvm (missing)",
        f"{tmp_path}/nvidia0 (user vllmd may not open it)",
    ]
    (tmp_path / "nvidia-uvm").touch()
    (tmp_path / "nvidia-uvm").chmod(0o666)
    (tmp_path / "nvidia0").chmod(0o666)
    assert list(host.closed_devices(somebody, tmp_path)) == []


def test_gpus_have_as_many_nodes_as_are_there(tmp_path: Path) -> None:
    for name in ("nvidiactl", "nvidia-uvm", "nvidia-caps"):
        (tmp_path / name).touch()
    assert host.gpu_nodes(tmp_path) is None
    for name in ("nvidia0", "nvidia11"):
        (tmp_path / name).touch()
    assert host.gpu_nodes(tmp_path) == 2


def test_container_is_known_by_what_its_runtime_leaves(tmp_path: Path) -> None:
    assert not host.in_container({}, tmp_path)
    assert host.in_container({"NVIDIA_VISIBLE_DEVICES": "void"}, tmp_path)
    assert host.in_container({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run/.containerenv").touch()
    assert host.in_container({}, tmp_path)


def test_secrets_that_all_may_read_are_named(tmp_path: Path) -> None:
    path = tmp_path / "vllmd.toml"
    path.write_text('[engines.a]\nmodel = "m"\nexecutable = "x"\nenv = { HF_TOKEN = "t" }\n')
    path.chmod(0o644)
    keys = tmp_path / "credentials"
    keys.mkdir()
    for name, mode in (("webhook", 0o644), ("hf", 0o640)):
        (keys / name).touch()
        (keys / name).chmod(mode)
    found = list(host.readable_secrets(load(path)[0], keys))
    assert found == [str(path), f"{keys}/webhook"]
    path.write_text('[engines.a]\nmodel = "m"\nexecutable = "x"\n')
    assert list(host.readable_secrets(load(path)[0], tmp_path / "none")) == []
    web = tmp_path / "web.yml"
    path.write_text(f'[daemon]\nweb_config_file = "{web}"\n')
    for mode, said in ((0o644, [str(web)]), (0o640, [])):
        web.touch()
        web.chmod(mode)
        assert list(host.readable_secrets(load(path)[0], tmp_path / "none")) == said


def test_folders_that_all_may_write_to_are_named_and_the_socket_is_none(tmp_path: Path) -> None:
    made = config(f'[daemon]\nrun_dir = "{tmp_path}/run"\nstate_dir = "{tmp_path}/state"\n')
    for name in ("run", "state"):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(0o755)
    with socket.socket(socket.AF_UNIX) as control:
        control.bind(str(tmp_path / "run" / "control.sock"))
        os.chmod(tmp_path / "run" / "control.sock", 0o666)
    assert str(tmp_path) not in " ".join(host.writable(made))
    (tmp_path / "run").chmod(0o777)
    assert next(host.writable(made)) == f"{tmp_path}/run"
