"""What was found is a value that does not change."""

import attrs
import pytest

from vllmd.importing.launch import Container, Launch
from vllmd.importing.unknown import Place


def test_launch_is_frozen_and_has_no_container_unless_it_is_given() -> None:
    launch = Launch(program=("vllm",), arguments=("m",), place=Place("x", 1))
    assert launch.container is None
    assert Container(image="vllm/vllm-openai").home == "/root"
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        launch.name = "x"  # type: ignore[misc]
