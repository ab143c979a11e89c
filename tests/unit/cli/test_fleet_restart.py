from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from tests.helpers.fleet_pages import fleet_pages, page_engine
from vllmd.cli.fleet_restart import restart, upgrade
from vllmd.errors import VllmdError


def run(command: click.Command, config: Path, *words: str) -> Result:
    return CliRunner().invoke(command, [*words, "-c", str(config)])


def test_dry_run_prints_the_commands_and_runs_none(tmp_path: Path) -> None:
    with fleet_pages(tmp_path, [page_engine()], [page_engine()]) as made:
        found = run(restart, made.config, "chat", "--dry-run")
        two = run(upgrade, made.config, "chat", "0.33.0", "--dry-run")
    assert found.output.splitlines() == [f"{tmp_path}/at-host 127.0.0.1 restart chat"] * 2
    assert two.output.splitlines()[:2] == [
        f"{tmp_path}/at-host 127.0.0.1 engine install 0.33.0",
        f"{tmp_path}/at-host 127.0.0.1 restart chat",
    ]
    assert made.asked == []


def test_each_is_restarted_by_the_command_and_the_end_is_told(tmp_path: Path) -> None:
    with fleet_pages(tmp_path, [page_engine()], [page_engine()]) as made:
        found = run(restart, made.config, "tiny")
    assert found.exit_code == 0, found.output
    assert made.asked == ["127.0.0.1 restart chat"] * 2
    assert found.output.splitlines()[-1].startswith("tiny: 2 replicas restarted in ")


def test_upgrade_leaves_those_that_have_the_version(tmp_path: Path) -> None:
    new = page_engine(vllm_version="0.33.0+cu129")
    with fleet_pages(tmp_path, [new], [page_engine()]) as made:
        found = run(upgrade, made.config, "chat", "0.33.0")
    assert found.exit_code == 0, found.output
    assert made.asked == ["127.0.0.1 engine install 0.33.0", "127.0.0.1 restart chat"]
    assert "left as it is: vLLM 0.33.0+cu129 serves there" in found.output


@pytest.mark.parametrize(
    ("more", "words", "code", "said"),
    [
        ({"state": "held", "up": False}, (), 75, "min_ready is 1"),
        ({}, ("--min-ready", "2"), 75, "min_ready is 2"),
        ({"wanted": False, "up": False}, (), 75, "was not restarted: 0 other"),
    ],
)
def test_too_few_others_end_it_before_anything_is_done(
    tmp_path: Path, more: dict[str, Any], words: tuple[str, ...], code: int, said: str
) -> None:
    held = page_engine(**more)
    first = page_engine(up=False, state="backoff") if more.get("state") == "held" else page_engine()
    with fleet_pages(tmp_path, [first], [held]) as made:
        found = run(restart, made.config, "chat", *words)
    assert isinstance(found.exception, VllmdError)
    assert found.exception.exit_code == code
    assert said in str(found.exception)
    assert "not touched: chat on" in found.output
    assert made.asked == []


def test_a_command_that_fails_ends_it_and_says_where_it_stands(tmp_path: Path) -> None:
    with fleet_pages(tmp_path, [page_engine()], [page_engine()]) as made:
        (tmp_path / "refuses").touch()
        found = run(restart, made.config, "chat")
    assert "ended with 255: no route to 127.0.0.1" in str(found.exception)
    assert "asked to restart, and not seen to serve since: chat on" in found.output
    assert len(made.asked) == 1


def test_a_host_that_does_not_answer_ends_it_unless_it_is_left_out(tmp_path: Path) -> None:
    with fleet_pages(tmp_path, [page_engine()], [page_engine()], silent=1) as made:
        found = run(restart, made.config, "chat")
        assert "Connection refused; nothing was restarted" in str(found.exception)
        name = str(found.exception).partition(": Connection")[0]
        assert run(restart, made.config, "chat", "--skip", name).exit_code == 0
        wrong = run(restart, made.config, "chat", "--skip", "gpu09")
    assert "no host of that name; there are: 127.0.0.1:" in wrong.output
    assert len(made.asked) == 2


def test_lengths_of_time_are_read_as_people_write_them(tmp_path: Path) -> None:
    with fleet_pages(tmp_path, [page_engine()], [page_engine()]) as made:
        assert "is no length of time" in run(restart, made.config, "chat", "--settle", "x").output
        found = run(restart, made.config, "chat", "--younger", "1h")
    assert found.output.count("it was started 1m 30s ago") == 2
    assert "chat: 0 replicas restarted" in found.output


def test_a_host_whose_page_has_no_engines_ends_it_before_anything_is_done(tmp_path: Path) -> None:
    other: Any = {"chat": "of another version"}
    with fleet_pages(tmp_path, [page_engine()], other) as made:
        found = run(restart, made.config, "chat")
    assert "answers, but /status.json has no engines: another version?" in str(found.exception)
    assert made.asked == []


def test_dry_run_of_an_upgrade_names_all_hosts_of_a_group(tmp_path: Path) -> None:
    group = {"id": "abc", "size": 2}
    head = page_engine(group={**group, "role": "head"})
    member = page_engine(group={**group, "role": "member", "vllm": "0.32.0"}, vllm_version=None)
    with fleet_pages(tmp_path, [head], [member]) as made:
        found = run(upgrade, made.config, "chat", "0.33.0", "--dry-run")
        one = run(upgrade, made.config, "chat", "0.32", "--dry-run")
    install = f"{tmp_path}/at-host 127.0.0.1 engine install 0.33.0"
    restarts = f"{tmp_path}/at-host 127.0.0.1 restart chat"
    assert found.output.splitlines() == [install, install, restarts]
    assert "left as it is: vLLM 0.32.0 serves there" in one.output
