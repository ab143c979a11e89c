"""Quadlets of podman."""

import pytest

from tests.helpers.launchers import GivenFiles
from vllmd.errors import VllmdError
from vllmd.importing.containers.quadlet import is_quadlet, spec_of_quadlet
from vllmd.importing.surroundings import Notes, Surroundings

TEXT = """[Container]
Image=docker.io/vllm/vllm-openai:v0.25.1
Exec=--model m \\
  --served-model-name "a b"
PublishPort=80:8000
Environment="A=1 2" B=3
AddDevice=nvidia.com/gpu=1
Annotation=x
Rootfs=y
[Service]
Restart=always
ExecStartPre=/bin/true
"""


def test_keys_become_what_podman_run_is_given() -> None:
    notes = Notes()
    spec = spec_of_quadlet(TEXT, "x.container", Surroundings(), notes)
    assert is_quadlet(TEXT)
    assert spec is not None
    assert spec.command == ["--model", "m", "--served-model-name", "a b"]
    assert (spec.variables, spec.gpus) == ({"A": "1 2", "B": "3"}, ("1",))
    assert str(spec.place) == "x.container:2"
    assert [each.split("=")[0] for each in notes.remarks] == [
        *("Restart", "left out: ExecStartPre", "left out: Rootfs")
    ]


def test_image_is_needed() -> None:
    with pytest.raises(VllmdError, match="has no Image="):
        spec_of_quadlet("[Container]\nExec=x\n", "x", Surroundings(), Notes())


def test_drop_ins_add_replace_and_take_back() -> None:
    drop_in = "[Container]\nExec=n\nAddDevice=\nAddDevice=nvidia.com/gpu=2\nEnvironment=C=4\n"
    files = {"/etc/containers/systemd/x.container.d/a.conf": drop_in}
    around = Surroundings(GivenFiles(files))
    spec = spec_of_quadlet(TEXT, "/etc/containers/systemd/x.container", around, Notes())
    assert spec is not None
    assert (spec.command, spec.gpus) == (["n"], ("2",))
    assert spec.variables == {"A": "1 2", "B": "3", "C": "4"}


def test_pod_that_publishes_the_ports_is_refused() -> None:
    notes = Notes()
    spec_of_quadlet(f"{TEXT}[Container]\nPod=llm.pod\n", "x", Surroundings(), notes)
    assert "its ports are published by llm.pod" in notes.problems[0].text
