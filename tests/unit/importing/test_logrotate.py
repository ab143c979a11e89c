"""logrotate's stanzas as [logs]."""

from typing import Any

import pytest

from vllmd.importing.logrotate import is_stanza, rotation_of

CLASSIC = """# vLLM
/var/log/vllm/*.log {
    daily
    rotate 30
    maxsize 200M
    compress
    delaycompress
    missingok
    copytruncate
    postrotate
        systemctl kill -s HUP vllm
    endscript
}
"""


def stanza(*directives: str) -> str:
    return "\n".join(["/var/log/vllm.log {", *directives, "}"])


def test_the_classic_stanza() -> None:
    found = rotation_of(CLASSIC)
    assert found.keys == {"rotate": "daily", "rotate_mb": 200, "keep": 30, "budget_mb": 6400}
    assert [remark.split(":")[0] for remark in found.remarks] == [
        "postrotate",
        "copytruncate",
        "logs.budget_mb is 6400 so that all files fit, uncompressed",
    ]


@pytest.mark.parametrize(
    ("directives", "keys"),
    [
        (["size 10M"], {"rotate": "never", "rotate_mb": 10}),
        (["size=100k"], {"rotate": "never", "rotate_mb": 1}),
        (["size 1G", "rotate 3"], {"rotate_mb": 1024, "keep": 3, "budget_mb": 5120}),
        (["weekly", "nocompress"], {"rotate": "weekly", "compress": False}),
        (["monthly", "rotate 3"], {"rotate": "weekly", "keep": 12}),
        (["hourly # not daily"], {"rotate": "hourly"}),
        (["rotate -1"], {}),
        (["rotate 0"], {"keep": 0}),
    ],
)
def test_directives(directives: list[str], keys: dict[str, Any]) -> None:
    assert keys.items() <= rotation_of(stanza(*directives)).keys.items()


@pytest.mark.parametrize("word", ["dateext", "maxage 30", "minsize 1M", "olddir /x", "su a b"])
def test_what_vllmd_has_not_is_said(word: str) -> None:
    assert rotation_of(stanza("daily", word)).remarks[0].startswith(word.partition(" ")[0])


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        (CLASSIC, True),
        ("[Service]\nExecStart=/opt/vllm/bin/vllm serve m\nRestart=on-failure\n", False),
        ("#!/bin/bash\nrun() {\n  vllm serve m\n}\n", False),
        ("", False),
    ],
)
def test_a_stanza_is_told_from_a_launch(text: str, is_one: bool) -> None:
    assert is_stanza(text) is is_one
    if not text:
        assert rotation_of(text).keys == {}
