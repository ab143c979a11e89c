"""`docker run` lines."""

import shlex

import pytest

from tests.helpers.launchers import GivenFiles
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


def test_files_of_variables_are_taken_as_they_are_and_options_go_before_them() -> None:
    files = {"/a": "# x\nA=1\nB='2'\n", "/b": "A=2\nD=4\n"}
    words = ["-e", "D=5", "--env-file", "/a", "--env-file", "/b", IMAGE]
    spec = spec_of(words, Place("x", 1), Surroundings(GivenFiles(files)), Notes(), {})
    assert spec is not None
    assert spec.variables == {"A": "2", "B": "'2'", "D": "5"}
    assert "B: its quotes are a part of it: /a has none to take off" in spec.remarks


@pytest.mark.parametrize("option", ["--pod llm", "--network container:vpn"])
def test_ports_that_another_publishes_are_refused(option: str) -> None:
    notes = Notes()
    read(f"podman run {option} {IMAGE} m", notes)
    assert "publishes the ports: write them here" in notes.problems[0].text


def test_port_that_is_published_twice_is_said() -> None:
    spec = read(f"docker run -p 80:8000 -p 127.0.0.1:81:8000 {IMAGE} m")
    assert spec is not None
    assert spec.published == {8000: ("", 80)}
    assert "was published at 127.0.0.1:81 too" in spec.remarks[0]


def test_mount_over_another_hides_it() -> None:
    spec = read(f"docker run -v /a:/m -v /b:/m/ {IMAGE} m")
    assert spec is not None
    assert [each.outside for each in spec.mounts] == ["/b"]


def test_ports_that_docker_chooses_are_refused() -> None:
    notes = Notes()
    read(f"docker run -dP {IMAGE} m", notes)
    assert "-P: which port of the host" in str(notes.problems)


def test_file_of_one_gpu_is_said_and_those_of_all_are_not() -> None:
    devices = "--device /dev/kfd --device /dev/dri --device /dev/nvidiactl --device {}"
    for path, name in (("/dev/nvidia2:/dev/nvidia2", "CUDA"), ("/dev/dri/renderD129", "HIP")):
        spec = read(f"docker run {devices.format(path)} {IMAGE} m")
        assert spec is not None
        (said,) = spec.remarks
        assert f"set env.{name}_VISIBLE_DEVICES" in said


@pytest.mark.parametrize(
    ("options", "gpus"),
    [
        ("--device nvidia.com/gpu=1 --device nvidia.com/gpu=GPU-a", ("1", "GPU-a")),
        ("--device nvidia.com/gpu=0 --device nvidia.com/gpu=all", None),
        ("--device nvidia.com/gpu=all -e NVIDIA_VISIBLE_DEVICES=3", ("3",)),
        ("--gpus 0 -e NVIDIA_VISIBLE_DEVICES=3", ()),
    ],
)
def test_gpus_may_be_given_by_their_names(options: str, gpus: tuple[str, ...] | None) -> None:
    spec = read(f"docker run {options} {IMAGE} m")
    assert spec is not None
    assert spec.gpus == gpus
