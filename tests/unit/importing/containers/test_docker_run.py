"""`docker run` lines."""

import shlex

import pytest

from vllmd.importing.containers.docker_run import arguments_of_run, spec_of
from vllmd.importing.containers.spec import ContainerSpec
from vllmd.importing.surroundings import Notes, Surroundings
from vllmd.importing.unknown import Place

IMAGE = "vllm/vllm-openai:v0.25.1"


def read(line: str, notes: Notes | None = None) -> ContainerSpec | None:
    words = arguments_of_run(shlex.split(line))
    assert words is not None
    return spec_of(words, Place("x", 1), Surroundings(), notes or Notes(), {})


@pytest.mark.parametrize(
    "options",
    [
        "-d --rm -it -p80:8000 -e A=1 --name c",
        "-dit --publish=80:8000 --env=A=1 --name=c",
        "-itp 80:8000 -eA=1 --name c --privileged --ulimit memlock=-1",
    ],
)
def test_options_may_be_written_in_several_ways(options: str) -> None:
    spec = read(f"docker run {options} {IMAGE} --model m")
    assert spec is not None
    assert (spec.image, spec.command, spec.name) == (IMAGE, ["--model", "m"], "c")
    assert (spec.published, spec.variables) == ({8000: ("", 80)}, {"A": "1"})


def test_limits_and_the_like_are_said() -> None:
    spec = read(f"podman container run --memory 64g --ipc=host --health-cmd x --user 1 {IMAGE}")
    assert spec is not None
    assert [each.split(":")[0] for each in spec.remarks] == [
        *("left out", "--ipc=host", "--health-…", "--user 1")
    ]


def test_other_containers_and_commands_are_none_of_vllm() -> None:
    assert read("docker run -p 80:80 nginx") is None
    assert arguments_of_run(["docker", "pull", IMAGE]) is None
    assert arguments_of_run(["ls", "run"]) is None
    assert arguments_of_run(["docker", "--context", "x", "run", IMAGE]) == [IMAGE]


def test_option_that_is_not_known_is_refused_if_it_may_be_vllm() -> None:
    notes = Notes()
    assert read(f"docker run --what 1 {IMAGE}", notes) is None
    assert "--what is not read" in notes.problems[0].text
    assert read("docker run --what 1 nginx") is None
