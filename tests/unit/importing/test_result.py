"""Names, secrets and next steps of what is taken over."""

from vllmd.importing.launch import Container, Launch
from vllmd.importing.result import (
    Engine,
    about_versions,
    engines_of,
    next_steps,
    secrets_of,
    versions_of,
)
from vllmd.importing.surroundings import Notes, Surroundings
from vllmd.importing.unknown import Place


def launch(name: str = "", image: str = "", **variables: str) -> Launch:
    return Launch(
        program=("vllm",),
        arguments=("m",),
        variables=variables,
        place=Place("x", 1),
        name=name,
        container=Container(image=image) if image else None,
    )


def engines(*launches: Launch, name: str | None = None) -> list[Engine]:
    return engines_of(launches, name, Surroundings(), Notes())


def test_engines_have_names_of_their_own() -> None:
    assert [each.name for each in engines(launch(), launch(), launch("Chat_7B.x"))] == [
        *("main", "main-2", "chat_7b-x")
    ]
    assert [each.name for each in engines(launch("a"), launch("b"), name="llm")] == ["llm", "llm-2"]
    assert len(engines(launch("x" * 50))[0].name) == 32


def test_secret_of_all_is_one_file_and_others_are_one_for_each() -> None:
    same = engines(launch(HF_TOKEN="a"), launch(HF_TOKEN="a"))
    apart = engines(launch(HF_TOKEN="a"), launch(HF_TOKEN="b"))
    some = engines(launch(HF_TOKEN="a"), launch())
    assert [each.file for each in secrets_of(same)] == ["hf_token"]
    assert [each.file for each in secrets_of(apart)] == ["hf_token.main", "hf_token.main-2"]
    assert [each.file for each in secrets_of(some)] == ["hf_token.main"]
    assert "a" not in repr(next(secrets_of(same))).partition("file=")[0]


def test_version_of_an_image_is_installed_next_if_vllmd_runs_it() -> None:
    new, old = (
        engines(launch(image="vllm/vllm-openai:v0.25.1")),
        engines(launch(image="vllm/vllm-openai:v0.8.5")),
    )
    assert versions_of(old) == ["0.8.5"]
    assert next_steps(new, None)[0] == "vllmd engine install 0.25.1"
    assert next_steps(old, "/x.toml")[:2] == [
        "vllmd engine install 0.32.0",
        "vllmd check --config /x.toml",
    ]
    assert list(about_versions(new)) == []
    (said,) = about_versions(old)
    assert said.startswith("the image's vLLM is 0.8.5, and vllmd needs 0.20 or later: it stops")
    assert "which may behave otherwise than 0.8.5" in said
    (later,) = about_versions(engines(launch(image="vllm/vllm-openai:v0.99.0")))
    assert "vllmd was tested up to 0.33" in later
    assert "names no version" in next(about_versions(engines(launch(image="vllm/vllm-openai"))))
