"""Which words start a server."""

import pytest

from vllmd.importing.serving import MODULE, installs, serving, speaks_of_serving


@pytest.mark.parametrize(
    ("line", "program", "arguments"),
    [
        ("vllm serve m", ("vllm",), ("m",)),
        ("/v/bin/vllm serve m --port 1", ("/v/bin/vllm",), ("m", "--port", "1")),
        ("python3 -m vllm.entrypoints.openai.api_server --model m", ("vllm",), ("--model", "m")),
        (
            "/v/bin/python -u -X dev -m vllm.entrypoints.cli.main serve m",
            ("/v/bin/python", "-m", MODULE),
            ("m",),
        ),
        ("/v/bin/python3.11 /v/bin/vllm serve m", ("/v/bin/vllm",), ("m",)),
        ("python /x/vllm/entrypoints/openai/api_server.py --model m", ("vllm",), ("--model", "m")),
    ],
)
def test_forms_of_the_command(
    line: str, program: tuple[str, ...], arguments: tuple[str, ...]
) -> None:
    found = serving(line.split())
    assert found is not None
    assert (found.program, found.arguments) == (program, arguments)


def test_environment_that_is_active_has_the_program() -> None:
    found = serving(["vllm", "serve", "m"], "/v/bin")
    assert found is not None
    assert (found.program, found.by_path) == (("/v/bin/vllm",), False)


@pytest.mark.parametrize(
    "line", ["", "vllm bench serve", "python3 train.py", "python3 -m http.server"]
)
def test_other_commands_serve_nothing(line: str) -> None:
    assert serving(line.split()) is None
    assert not speaks_of_serving(line.split())


@pytest.mark.parametrize(
    "words",
    [
        ["x", "vllm", "serve", "m"],
        ["x", "cd /a && vllm serve m"],
        ["x", "-m", "vllm.entrypoints.openai.api_server"],
        ["x", "docker.io/vllm/vllm-openai:latest"],
    ],
)
def test_words_that_name_a_server_are_noticed(words: list[str]) -> None:
    assert serving(words) is None
    assert speaks_of_serving(words)


@pytest.mark.parametrize(
    ("line", "does"),
    [
        ("pip install -U vllm", True),
        ("/opt/v/bin/pip3 install x", True),
        ("python3 -m pip install x", True),
        ("uv pip install x", True),
        ("uv sync --frozen", True),
        ("apt-get -y install x", True),
        ("uv run x", False),
        ("pip list", False),
        ("python -m x install", False),
        ("echo install", False),
    ],
)
def test_what_installs_is_told(line: str, does: bool) -> None:
    assert installs(line.split()) is does
