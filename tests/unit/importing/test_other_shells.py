import pytest

from vllmd.importing.other_shells import of_another_shell


@pytest.mark.parametrize(
    ("first", "name", "shell"),
    [
        ("#!/usr/bin/env fish", "run", "fish"),
        ("#! /bin/tcsh -f", "run", "tcsh"),
        ("#!/usr/bin/env -S uv run --script", "run", "uv"),
        ("#!/usr/bin/python3 -u", "run", "python3"),
        ("#!/usr/bin/env nu", "run", "nu"),
        ("", "a/serve.fish", "fish"),
        ("", "serve.csh", "csh"),
    ],
)
def test_script_that_no_shell_runs_which_is_read_is_named(
    first: str, name: str, shell: str
) -> None:
    said = of_another_shell(f"{first}\nvllm serve org/m\n", name) or ""
    assert said.startswith(f"it is a script of {shell}, which is not read")


@pytest.mark.parametrize(
    "first",
    [
        *("#!/bin/sh -e", "#!/usr/bin/env bash", "#!/usr/bin/env -S bash -x", "#!/bin/zsh", ""),
        *(
            "#!/usr/bin/with-contenv bash",
            "#!/bin/busybox ash",
            "# fish",
            "#!/sbin/openrc-run",
            "#!/bin/mksh",
        ),
    ],
)
def test_script_of_a_shell_that_is_read_is_none(first: str) -> None:
    assert of_another_shell(f"{first}\nvllm serve org/m --port $PORT\n", "run.sh") is None


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("G=(0 1)\nvllm serve m\n", 2),
        ("vllm serve $argv[1]\n", 2),
        ("typeset -A m\n", 2),
        ('A="--port 1 --x"\nvllm serve m $A\n', 3),
        ("A=$(cat a)\nvllm serve m ${A}\n", 3),
        ('B="$1 $2"\nvllm serve m "$B" $B\n', 3),
        ('A="--port 1"\nvllm serve m "$A"\n', None),
        ("P=8000\nvllm serve m --port $P\n", None),
        ('setopt SH_WORD_SPLIT\nA="--port 1"\nvllm serve m $A\n', None),
        ("setopt shwordsplit\nA=(1 2)\nvllm serve m $A\n", 3),
        ("emulate -L sh\nA=(1 2)\n", None),
        ("# G=(0 1)\nvllm serve m\n", None),
    ],
)
def test_script_of_zsh_is_read_where_it_means_the_same_in_bash(text: str, line: int | None) -> None:
    said = of_another_shell(f"#!/bin/zsh\n{text}", "run")
    assert (said is None) == (line is None)
    assert said is None or f"and line {line} means something else there than in bash" in said
