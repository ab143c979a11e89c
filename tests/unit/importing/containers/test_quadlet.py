"""Quadlets of podman."""

import pytest

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
