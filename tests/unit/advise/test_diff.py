import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from vllmd.advise.diff import changed, unified

FILE = """\
# our engines
[daemon]
listen = "127.0.0.1:9840"

[engines.chat]
model = "m"
max_num_seqs = 16  # as vendor said
env = { A = "#1" }

[engines.chat.flags]
max_num_batched_tokens = 1024
speculative-config = { method = "ngram", num_speculative_tokens = 3 }

[engines.code]
model = "c"
"""
CHAT, CODE = ("engines", "chat"), ("engines", "code")


def value_of(text: str, *path: str) -> Any:
    at: Any = tomllib.loads(text)
    for part in path:
        at = at[part]
    return at


def test_a_key_that_is_there_is_changed_in_its_line() -> None:
    made = changed(FILE, CHAT, ("max_num_seqs",), 32)
    assert made == FILE.replace("max_num_seqs = 16  #", "max_num_seqs = 32  #")


def test_a_flag_is_found_however_it_is_spelled() -> None:
    made = changed(FILE, CHAT, ("flags", "max-num-batched-tokens"), 8192)
    assert made == FILE.replace("= 1024", "= 8192")


def test_a_number_in_an_inline_table_is_changed() -> None:
    made = changed(FILE, CHAT, ("flags", "speculative-config", "num_speculative_tokens"), 2)
    assert made == FILE.replace("num_speculative_tokens = 3", "num_speculative_tokens = 2")


def test_a_new_key_comes_after_those_of_its_table() -> None:
    made = changed(FILE, CHAT, ("gpu_memory_utilization",), 0.85)
    assert made is not None
    assert made.replace("gpu_memory_utilization = 0.85\n", "") == FILE
    assert value_of(made, *CHAT, "gpu_memory_utilization") == 0.85


@pytest.mark.parametrize("table", [CHAT, CODE], ids=["a table of flags", "none yet"])
def test_a_new_flag_comes_into_its_table(table: tuple[str, str]) -> None:
    made = changed(FILE, table, ("flags", "max-num-queued-reqs"), 64)
    assert made is not None
    assert value_of(made, *table, "flags", "max-num-queued-reqs") == 64
    assert made.startswith(FILE.split("\n[engines.code]", maxsplit=1)[0][:100])


def test_a_key_is_taken_out() -> None:
    made = changed(FILE, CHAT, ("flags", "speculative-config"), None)
    assert made is not None
    assert "speculative" not in made


@pytest.mark.parametrize(
    ("source", "key", "value"),
    [
        (FILE, ("flags", "speculative-config", "other_tokens"), 2),  # not in the inline table
        ("", ("max_num_seqs",), 2),
        ("engines.chat = { model = 'm' }\n", ("max_num_seqs",), 2),
        ("[engines.chat]\nmodel = 'm'\nflags = { a = 1 }\n", ("flags", "b"), 2),
        (
            '[engines.chat]\nmodel = """\nm\n"""\n',
            ("max_num_seqs",),
            2,
        ),  # it would stand in the text
        ("[engines.chat]\nmodel = 'm'\n", ("max_num_seqs",), None),
        ('[engines.chat]\nmodel = """\nmax_num_seqs = 3\n"""\n', ("max_num_seqs",), 2),
        ("this is no TOML", ("max_num_seqs",), 2),
    ],
)
def test_what_is_not_certain_is_not_written(source: str, key: tuple[str, ...], value: Any) -> None:
    assert changed(source, CHAT, key, value) is None


def test_the_difference_can_be_applied(tmp_path: Path) -> None:
    path = tmp_path / "vllmd.toml"
    path.write_text(FILE)
    made = changed(FILE, CODE, ("flags", "max-num-queued-reqs"), 64)
    assert made is not None
    text = unified(FILE, made, str(path))
    assert text.startswith(f"--- {path}\n+++ {path}\n")
    done = subprocess.run(
        ["patch", "-p0", str(path)], input=text, text=True, check=False, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    assert path.read_text() == made
