from pathlib import Path

from tests.helpers.top import FakeClient, SceneSource
from tests.unit.cli.test_traces import windows
from vllmd.cli.screen.engine_view import log_rows, rows, why_text
from vllmd.cli.screen.feeds import Feeds
from vllmd.cli.screen.hosts import Host
from vllmd.cli.screen.lines import Row, text_of
from vllmd.eventlog.bus import Event
from vllmd.logs.lines import parse_line

SCENE = "many-adapters"


def host_of(scene: str, *, local: bool = True) -> Host:
    host = Host(SceneSource(scene), local=local)
    host.look(0.0, 0.0, series=True)
    return host


def feeds_of(log: Path) -> Feeds:
    client = FakeClient()
    client.shown["traces"] = windows()
    adapters = [
        {"name": f"customer-{n}", "condition": "failed" if n == 9 else "loaded", "reason": "rank"}
        for n in range(10)
    ]
    client.shown["adapters"] = {"engines": [{"engine": "chat", "adapters": adapters}]}
    fields = {"requested": False, "text": "exited with code 1", "cause": "lora_rank"}
    client.found = [Event(1.0, "engine.exited", "error", "chat", fields, 1)]
    feeds = Feeds(client, Path("/nonexistent/vllmd.toml"))
    log.write_text("".join(f"line {n}\n" for n in range(50)))
    for feed in (feeds.traces, feeds.adapters, feeds.events, feeds.told, feeds.log(str(log))):
        feed.renew(0.0)
    return feeds


def shown(found: list[Row]) -> list[str]:
    return [text_of(line).plain for row in found for line in row.lines]


def test_engine_has_all_its_parts_at_eighty_columns(tmp_path: Path) -> None:
    host = host_of(SCENE)
    engine = {**(host.engine("chat") or {}), "log": str(tmp_path / "log")}
    lines = shown(rows(host, engine, feeds_of(tmp_path / "log"), 80, 20))
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    for part in ("State: ready", "tokens/s 1,810", "GPU 0 busy 93%", "Adapters: 20 of 20 loaded"):
        assert part in text
    for part in ("customer-9  failed: rank", "Slowest requests", "engine.exited", "line 49"):
        assert part in text
    assert "… 2 more: 'vllmd lora list' names them" in text


def test_wide_screen_has_two_parts_beside_each_other_and_fills_its_height(tmp_path: Path) -> None:
    host = host_of(SCENE)
    engine = {**(host.engine("chat") or {}), "log": str(tmp_path / "log")}
    lines = shown(rows(host, engine, feeds_of(tmp_path / "log"), 160, 44))
    assert len(lines) == 44
    assert all("│" in line for line in lines)
    assert "State: ready" in lines[0]
    assert "Why" in lines[0]
    assert "line 49" in lines[-1]


def test_engine_of_another_host_says_what_is_told_there_only() -> None:
    host = host_of(SCENE, local=False)
    text = "\n".join(shown(rows(host, host.engine("chat") or {}, None, 80, 20)))
    assert "only its own host tells this" in text
    assert "tokens/s 1,810" in text


def test_engine_of_an_older_daemon_says_why_there_are_no_graphs() -> None:
    host = host_of(SCENE)
    host.knows_series = False
    text = "\n".join(shown(rows(host, host.engine("chat") or {}, None, 80, 20)))
    assert "this daemon keeps no series" in text


def test_why_is_the_report_of_the_command(tmp_path: Path) -> None:
    host = host_of(SCENE)
    lines = shown(why_text(host.engine("chat") or {}, feeds_of(tmp_path / "log"), 100))
    assert any(line.startswith("  What") for line in lines)


def test_log_rows_are_those_with_the_word_broken_at_the_width() -> None:
    lines = [parse_line("ERROR 11-29 22:35:11 [a.py:1] " + "x" * 100), parse_line("fine")]
    (row,) = log_rows(lines, 60, "error")
    assert len(row.lines) > 2
    assert all(text_of(line).cell_len <= 60 for line in row.lines)
    assert text_of(row.lines[0]).spans
