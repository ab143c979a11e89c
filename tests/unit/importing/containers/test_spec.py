"""An image and what it is run with."""

import pytest

from tests.helpers.launchers import GivenFiles
from vllmd.importing.containers.spec import (
    ContainerSpec,
    MountedFiles,
    gpus_of,
    is_of_vllm,
    launches,
    visible_of,
)
from vllmd.importing.launch import Mount
from vllmd.importing.surroundings import Notes, Surroundings
from vllmd.importing.unknown import Place

OURS = "vllm/vllm-openai:v0.25.1"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("all", None),
        ("2", ("0", "1")),
        ("device=1", ("1",)),
        ('"device=0,2"', ("0", "2")),
        ("device=GPU-1a2b", ("GPU-1a2b",)),
        ("count=1", ("0",)),
        ('"device=1","capabilities=compute"', ("1",)),
    ],
)
def test_gpus(text: str, expected: tuple[str, ...] | None) -> None:
    assert gpus_of(text) == expected


def test_gpus_of_a_variable() -> None:
    assert visible_of({}) is None
    assert visible_of({"NVIDIA_VISIBLE_DEVICES": "1,2"}) == ("1", "2")
    assert visible_of({"NVIDIA_VISIBLE_DEVICES": "none"}) == ()


def found(image: str, *command: str, entrypoint: list[str] | None = None) -> list[tuple[str, ...]]:
    spec = ContainerSpec(
        image=image, place=Place("x", 1), command=list(command), entrypoint=entrypoint
    )
    return [each.arguments for each in launches(spec, Surroundings(), Notes())]


def test_entrypoint_of_the_image_and_one_that_is_given() -> None:
    assert found(OURS, "--model", "m") == [("--model", "m")]
    assert found(OURS, "vllm", "serve", "m") == [("m",)]
    assert found("rocm/vllm", "vllm", "serve", "m") == [("m",)]
    assert found(OURS, "serve", "m", entrypoint=["vllm"]) == [("m",)]
    assert found("x/y", "-c", "cd /a && vllm serve m", entrypoint=["bash"]) == [("m",)]


def test_image_whose_entrypoint_is_not_known_is_refused() -> None:
    notes = Notes()
    spec = ContainerSpec(image="x/y", place=Place("x", 1), command=["--model", "m"])
    assert launches(spec, Surroundings(), notes) == []
    assert "what the image x/y starts is not known here" in notes.problems[0].text


def test_files_are_those_of_the_innermost_mount() -> None:
    files = MountedFiles(
        GivenFiles({"/srv/a/x": "1", "/srv/b/x": "2"}),
        [Mount("/m", "/srv/a", ""), Mount("/m/b", "/srv/b", ""), Mount("/v", None, "")],
        {"/m/c": "3"},
    )
    assert files.read("/m/c") == "3"
    assert (files.read("/m/x"), files.read("/m/b/x"), files.read("/v/x")) == ("1", "2", None)
    assert list(files.names("/m")) == ["x"]
    assert files.is_folder("/m/b")
    assert is_of_vllm(OURS, [])
    assert not is_of_vllm("nginx", ["nginx"])


def test_entrypoint_that_is_cleared_leaves_the_command_alone() -> None:
    notes = Notes()
    spec = ContainerSpec(image=OURS, place=Place("x", 1), command=["sh", "-c", "vllm serve m"])
    assert launches(spec, Surroundings(), notes) == []
    assert "takes 'sh' for its model" in str(notes.problems)
    spec.entrypoint = []
    (launch,) = launches(spec, Surroundings(), Notes())
    assert launch.arguments == ("m",)


@pytest.mark.parametrize("model", ["shenzhi-wang/Llama3-8B", "org/my-python3", "org/shisa-7b"])
def test_model_whose_name_has_that_of_a_shell_is_a_model(model: str) -> None:
    spec = ContainerSpec(image=OURS, place=Place("x", 1), command=[model])
    (launch,) = launches(spec, Surroundings(), Notes())
    assert launch.arguments == (model,)


@pytest.mark.parametrize("program", ["/bin/sh", "dash", "ksh", "python", "/usr/bin/python3.12"])
def test_program_where_a_model_is_taken_is_refused(program: str) -> None:
    notes = Notes()
    spec = ContainerSpec(image=OURS, place=Place("x", 1), command=[program, "-c", "x"])
    assert launches(spec, Surroundings(), notes) == []
    assert f"takes {program!r} for its model" in str(notes.problems)


def test_home_is_what_the_container_has_it_to_be() -> None:
    spec = ContainerSpec(image=OURS, place=Place("x", 1), command=["m"])
    spec.variables["HOME"] = "/home/llm"
    (launch,) = launches(spec, Surroundings(), Notes())
    assert launch.container is not None
    assert launch.container.home == "/home/llm"
