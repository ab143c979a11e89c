import os
from pathlib import Path

import psutil
import pytest

from tests.helpers.site import wait_for
from vllmd.comparing.bench import LoadSpec, Target, command, measure, read
from vllmd.errors import CompareError

GONE = psutil.STATUS_ZOMBIE
TARGET = Target("http://127.0.0.1:8000", "chat", "/srv/m", "secret")
RESULT = """{"failed": 1, "output_throughput": 50.5, "median_ttft_ms": 120.0, "p95_ttft_ms": 300.0,
"p95_itl_ms": 20.0, "total_input_tokens": 4000, "generated_texts": ["a", "b"]}"""


def program(folder: Path, text: str) -> str:
    path = folder / "vllm"
    path.write_text(f"#!/bin/bash\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_a_round_is_what_the_result_file_says(tmp_path: Path) -> None:
    script = f"""while [ $# -gt 0 ]; do [ "$1" = --result-dir ] && dir=$2; shift; done
echo '{RESULT}' > $dir/result.json
echo "$OPENAI_API_KEY" > {tmp_path}/key"""
    found = measure(program(tmp_path, script), TARGET, LoadSpec(), 1, dict(os.environ))
    assert (found.failed, found.tokens_per_s, found.first_token_s) == (1, 50.5, 0.12)
    assert found.answers == ("a", "b")
    assert (tmp_path / "key").read_text() == "secret\n"


@pytest.mark.parametrize("script", ["echo it broke; exit 3", 'echo "it broke"'])
def test_without_a_result_its_last_words_are_told(tmp_path: Path, script: str) -> None:
    with pytest.raises(CompareError, match="without a result:\nit broke"):
        measure(program(tmp_path, script), TARGET, LoadSpec(), 1, dict(os.environ))


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CompareError, match="cannot be run"):
        measure(str(tmp_path / "gone"), TARGET, LoadSpec(), 1, {})


def test_the_key_is_no_argument_and_the_seed_is_the_rounds(tmp_path: Path) -> None:
    words = command("vllm", TARGET, LoadSpec(requests=7), 3, tmp_path)
    assert "secret" not in " ".join(words)
    assert words[words.index("--seed") + 1] == "3"
    assert words[words.index("--num-prompts") + 1] == "7"


RESETS = RESULT.replace('"failed": 1', '"failed": 3').replace(
    "{",
    '{"errors": ["", "ClientError: gone", "aiohttp ServerDisconnectedError: x", "'
    'ConnectionResetError: [Errno 104]"], ',
    1,
)


@pytest.mark.parametrize(("second", "failed"), [(0, 1), (2, 3), (9, 3)])
def test_round_whose_connections_were_reset_is_asked_again(
    second: int, failed: int, tmp_path: Path
) -> None:
    again = RESULT.replace('"failed": 1', f'"failed": {second}')
    script = f"""while [ $# -gt 0 ]; do [ "$1" = --result-dir ] && dir=$2; shift; done
cd {tmp_path}; echo >> asked; [ $(wc -l < asked) = 1 ] && text='{RESETS}' || text='{again}'
echo "$text" > $dir/result.json"""
    found = measure(program(tmp_path, script), TARGET, LoadSpec(), 1, dict(os.environ))
    assert (found.failed, (tmp_path / "asked").read_text()) == (failed, "\n\n")


def test_round_that_does_not_end_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    script = f"sleep 300 & echo $! > {tmp_path}/child; wait"
    with pytest.raises(CompareError, match=r"not ended after 1 s.*--round-timeout"):
        measure(program(tmp_path, script), TARGET, LoadSpec(), 1, dict(os.environ), 1.0)
    pid = int((tmp_path / "child").read_text())
    wait_for("its end", lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == GONE)


def test_what_is_no_result_is_refused() -> None:
    with pytest.raises((KeyError, ValueError, TypeError)):
        read({"failed": 0})
