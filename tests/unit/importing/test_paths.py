"""Paths as the host has them."""

import pytest

from tests.helpers.launchers import GivenFiles
from vllmd.importing.launch import Container, Launch, Mount
from vllmd.importing.paths import HostPaths, cache_of
from vllmd.importing.surroundings import Notes, Surroundings
from vllmd.importing.unknown import Place

CONTAINER = Container(
    image="vllm/vllm-openai:v0.25.1",
    mounts=(
        Mount("/models", "/srv/models", "a folder"),
        Mount("/models/private", "/srv/private", "a folder"),
        Mount("/vol", None, "the volume 'v'"),
        Mount("/root/.cache", "/srv/cache", "a folder"),
    ),
)


def paths(container: Container | None = None, folder: str | None = "/srv/app") -> HostPaths:
    launch = Launch(
        program=("vllm",), arguments=(), place=Place("x", 1), folder=folder, container=container
    )
    return HostPaths(launch, Surroundings(GivenFiles({"/srv/app/out/m/config.json": ""})), Notes())


@pytest.mark.parametrize(
    ("flag", "value", "expected"),
    [
        ("model", "org/m", "org/m"),
        ("model", "out/m", "/srv/app/out/m"),
        ("model", "./m", "/srv/app/m"),
        ("model", "a/b/c", "/srv/app/a/b/c"),
        ("model", "s3://b/c/d", "s3://b/c/d"),
        ("chat-template", "t.jinja", "/srv/app/t.jinja"),
        ("chat-template", "{% for m in x %}", "{% for m in x %}"),
        ("dtype", "a/b", "a/b"),
    ],
)
def test_relative_paths_are_joined(flag: str, value: str, expected: str) -> None:
    assert paths().flag(flag, value) == expected


def test_relative_path_without_a_folder_is_refused() -> None:
    given = paths(folder=None)
    assert given.flag("model", "./m") == "./m"
    assert "give --directory DIR" in given.notes.problems[0].text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("/models/a", "/srv/models/a"),
        ("/models/private/b", "/srv/private/b"),
        ("/models", "/srv/models"),
    ],
)
def test_paths_of_a_container_are_those_of_its_mounts(value: str, expected: str) -> None:
    assert paths(CONTAINER).flag("model", value) == expected


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("/app/model", "is of the image vllm/vllm-openai:v0.25.1"),
        ("/modelsX", "is of the image"),
        ("/vol/m", "is in the volume 'v', and where that is on the host is not known"),
    ],
)
def test_paths_of_the_image_are_refused(value: str, words: str) -> None:
    given = paths(CONTAINER)
    given.flag("model", value)
    assert words in given.notes.problems[0].text


def test_variables_and_json_follow_the_mounts() -> None:
    given = paths(CONTAINER)
    assert given.variable("HF_HOME", "/models/hf") == "/srv/models/hf"
    assert given.variable("HF_HOME", "/tmp/hf") is None
    assert given.variable("X", "plain") == "plain"
    assert given.anywhere('{"model": "/models/d"}') == '{"model": "/srv/models/d"}'
    assert paths().nested({"model": "./d"}) == {"model": "/srv/app/d"}
    assert paths().is_path("/x")


def test_cache_of_the_hub_is_found_in_what_is_mounted() -> None:
    found = cache_of(CONTAINER)
    assert found is not None
    assert (found[0], found[1].outside) == ("HF_HOME", "/srv/cache/huggingface")
    assert cache_of(Container(image="x")) is None
