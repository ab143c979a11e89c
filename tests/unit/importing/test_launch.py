"""The command in scripts, units and command lines, as they are found on hosts."""

import pytest

from vllmd.errors import VllmdError
from vllmd.importing.launch import find, unsolved

SCRIPT = """#!/bin/bash
# the classic launch script
set -euo pipefail
MODEL_PATH=/srv/models/qwen
export LORA_PATH="/srv/lora/sql"
PORT=${PORT:-8001}
export CUDA_VISIBLE_DEVICES=0,1
source /opt/vllm/bin/activate
nohup vllm serve "$MODEL_PATH" \\
  --port $PORT \\
  --enable-lora --lora-modules sql=${LORA_PATH} \\
  >> /var/log/vllm.log 2>&1 &
echo $! > /run/vllm.pid
"""
UNIT = """[Unit]
Description=vLLM
[Service]
Environment="HF_HOME=/srv/hf" CUDA_VISIBLE_DEVICES=1
Environment=PORT=8002
ExecStart=/opt/vllm/bin/vllm serve Qwen/Qwen3-8B --port ${PORT} \\
  --max-model-len 8192
Restart=on-failure
TimeoutStopSec=30
"""


def test_script_is_followed_through_its_variables() -> None:
    (found,) = find(SCRIPT)
    assert found.program == ("vllm",)
    assert found.arguments == (
        *("/srv/models/qwen", "--port", "8001"),
        *("--enable-lora", "--lora-modules", "sql=/srv/lora/sql"),
    )
    assert found.variables == {"CUDA_VISIBLE_DEVICES": "0,1"}
    assert [remark.split(":")[0] for remark in found.remarks] == ["nohup and &", "the log file"]


def test_unit_gives_its_environment_and_its_command() -> None:
    (found,) = find(UNIT)
    assert found.program == ("/opt/vllm/bin/vllm",)
    assert found.arguments == ("Qwen/Qwen3-8B", "--port", "8002", "--max-model-len", "8192")
    assert found.variables == {"HF_HOME": "/srv/hf", "CUDA_VISIBLE_DEVICES": "1"}
    assert [remark.split("=")[0] for remark in found.remarks] == ["Restart", "TimeoutStopSec"]


@pytest.mark.parametrize(
    ("line", "program", "arguments"),
    [
        ("vllm serve m", ("vllm",), ("m",)),
        ("exec env HF_HUB_OFFLINE=1 vllm serve m", ("vllm",), ("m",)),
        (
            "python3 -m vllm.entrypoints.openai.api_server --model m",
            ("python3", "-m", "vllm.entrypoints.cli.main"),
            ("--model", "m"),
        ),
        (
            "/v/bin/python -m vllm.entrypoints.cli.main serve m",
            ("/v/bin/python", "-m", "vllm.entrypoints.cli.main"),
            ("m",),
        ),
        ("vllm serve m --port 1 | tee log", ("vllm",), ("m", "--port", "1")),
        ("vllm serve m 2>/dev/null", ("vllm",), ("m",)),
        ("ExecStart=/bin/bash -c 'exec vllm serve m --port 7'", ("vllm",), ("m", "--port", "7")),
        ("ExecStart=-/usr/bin/vllm serve m", ("/usr/bin/vllm",), ("m",)),
    ],
)
def test_forms_of_the_command(
    line: str, program: tuple[str, ...], arguments: tuple[str, ...]
) -> None:
    (found,) = find(line)
    assert (found.program, found.arguments) == (program, arguments)


def test_what_is_not_known_stays_as_it_is_written() -> None:
    (found,) = find('vllm serve "$MODEL" --port ${PORT:-9}')
    assert found.arguments == ("$MODEL", "--port", "9")
    assert list(unsolved(found)) == ["$MODEL"]
    (other,) = find("export HF_TOKEN=`token`\nvllm serve $(cat model)")
    assert list(unsolved(other)) == ["$(cat", "HF_TOKEN=`token`"]
    (home,) = find("export HF_HOME=~/hf\nvllm serve ~/models/m --chat-template a~/b")
    assert list(unsolved(home)) == ["~/models/m", "HF_HOME=~/hf"]


def test_command_for_another_host_is_remarked() -> None:
    (found,) = find("ssh gpu-2 vllm serve m --port 9")
    assert any("another host" in remark for remark in found.remarks)


def test_script_of_several_engines_has_them_all_each_with_its_own_variables() -> None:
    first, second = find(
        "export HF_HOME=/srv\nCUDA_VISIBLE_DEVICES=0 vllm serve a --port 1 &\n"
        'CUDA_VISIBLE_DEVICES=1 vllm serve b --port 2 "$@" &\nwait\n'
    )
    assert (first.arguments, second.arguments) == (("a", "--port", "1"), ("b", "--port", "2"))
    assert first.variables == {"HF_HOME": "/srv", "CUDA_VISIBLE_DEVICES": "0"}
    assert second.variables == {"HF_HOME": "/srv", "CUDA_VISIBLE_DEVICES": "1"}
    assert "left out: $@" in second.remarks[-1]
    assert list(unsolved(second)) == []


@pytest.mark.parametrize(
    "text",
    [
        "docker run --gpus all vllm/vllm-openai --model m",
        "services:\n  vllm:\n    image: vllm/vllm-openai\n    command: --model m\n",
        "[Container]\nImage=docker.io/vllm/vllm-openai\nExec=--model m\n",
        "apiVersion: apps/v1\nkind: Deployment\n",
    ],
)
def test_container_is_refused_with_what_to_do(text: str) -> None:
    with pytest.raises(VllmdError, match="a container is not taken over: write its arguments"):
        find(text)


@pytest.mark.parametrize("text", ["", "echo hello"])
def test_text_without_a_command_is_refused(text: str) -> None:
    with pytest.raises(VllmdError, match="no command that serves was found"):
        find(text)


def test_quote_that_does_not_end_is_refused_with_its_line() -> None:
    with pytest.raises(VllmdError, match='cannot read this line: "vllm serve \'m"'):
        find("vllm serve 'm")
