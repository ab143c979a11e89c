from pathlib import Path

import pytest

from tests.helpers.top import FakeClient, SceneSource
from tests.unit.cli.test_cost import shown as costs_shown
from tests.unit.cli.test_traces import windows
from vllmd.cli.screen import tabs
from vllmd.cli.screen.feeds import Feeds
from vllmd.cli.screen.hosts import Host
from vllmd.cli.screen.lines import Row, text_of
from vllmd.errors import VllmdError
from vllmd.eventlog.bus import Event


def host_of(scene: str, label: str = "gpu-1") -> Host:
    host = Host(SceneSource(scene, label), local=True)
    host.look(0.0, 0.0, series=True)
    return host


def feeds_of(client: FakeClient) -> Feeds:
    return Feeds(client, Path("/nonexistent/vllmd.toml"))


def shown(rows: list[Row]) -> str:
    return "\n".join(text_of(line).plain for row in rows for line in row.lines)


def names(rows: list[Row]) -> list[str]:
    return [tabs.split_key(row.key)[1] for row in rows if row.key]


@pytest.mark.parametrize("scene", ["all-well", "eight-gpus", "held", "backoff", "loading"])
@pytest.mark.parametrize("columns", [80, 120, 160])
def test_engines_fit_the_screen(scene: str, columns: int) -> None:
    rows, header = tabs.engines([host_of(scene)], columns, "configuration", "")
    lines = [*header, *(line for row in rows for line in row.lines)]
    assert max(text_of(line).cell_len for line in lines) <= columns
    assert ("10 MINUTES" in header[0]) == (columns >= tabs.GRAPH_FROM)


def test_engines_are_sorted_and_filtered() -> None:
    hosts = [host_of("eight-gpus")]
    assert names(tabs.engines(hosts, 80, "tokens/s", "")[0]) == ["chat", "code", "embed"]
    assert names(tabs.engines(hosts, 80, "state", "")[0]) == ["embed", "chat", "code"]
    assert names(tabs.engines(hosts, 80, "configuration", "CODER")[0]) == ["code"]
    assert names(tabs.engines(hosts, 80, "configuration", "nothing")[0]) == []


def test_engines_of_several_hosts_stay_apart() -> None:
    rows, _ = tabs.engines([host_of("all-well"), host_of("held")], 120, "state", "")
    assert [row.key for row in rows] == [None, "0/chat", "0/embed", None, "1/chat"]


def test_alerts_of_several_hosts_are_in_one_list_the_gravest_first() -> None:
    hosts = [host_of("many-adapters"), host_of("backoff"), host_of("eight-gpus")]
    title, first, *_, last = [text_of(line).plain for line in tabs.alerts(hosts, 100, 4)]
    assert title.startswith("Alerts that apply")
    assert "VllmdEngineDown" in first
    assert last.strip().startswith("… 4 more")


def test_totals_are_as_much_as_there_is_room_for() -> None:
    hosts = [host_of("eight-gpus")]
    assert tabs.totals(hosts, 120).endswith("W")
    assert len(tabs.totals(hosts, 60)) <= 60


def test_title_says_whether_this_is_now() -> None:
    host = host_of("all-well")
    assert "live" in tabs.title([host], 80, 1.0, 0.0)
    assert "9s old" in tabs.title([host], 80, 9.0, 0.0)
    assert "no answer" not in tabs.title([host], 80, 9.0, 0.0)
    other = Host(SceneSource("held"), local=False)
    assert "1 of 2 daemons" in tabs.title([host, other], 80, 1.0, 0.0)


def test_problems_name_an_older_daemon() -> None:
    host = host_of("all-well")
    host.document = {k: v for k, v in (host.document or {}).items() if k != "schema_version"}
    assert "older than this command" in "".join(tabs.problems([host], 120, 0.0))


def test_gpus_are_those_of_the_command_with_ten_minutes_of_each() -> None:
    feeds = feeds_of(FakeClient())
    assert "asking" in shown(tabs.gpus([], feeds, 80))
    text = shown(tabs.gpus([host_of("all-well")], None, 80))
    assert "GPU 0, the last ten minutes" in text
    assert "busy" in text
    assert "512 W" in text


def test_gpus_of_several_hosts_have_the_hosts_name() -> None:
    one, other = host_of("all-well"), host_of("held")
    assert "GPUs of" not in shown(tabs.gpu_bars([one], 120))
    text = shown(tabs.gpu_bars([one, other], 120))
    assert text.count(f"GPUs of {one.label}") == 2
    assert "120.5 of 141.0 GiB" in text


def test_requests_are_sorted_and_can_be_copied() -> None:
    client = FakeClient()
    client.shown["traces"] = windows(problem="the port is taken")
    feeds = feeds_of(client)
    feeds.traces.renew(0.0)
    rows, header = tabs.requests(feeds, 100, "time to first token", "")
    assert "spans are not received: the port is taken" in shown(rows)
    assert [row.data["engine"] for row in rows if row.data] == ["code", "chat"]
    assert "2 sequences" in header[0]
    assert "chat" not in shown(tabs.requests(feeds, 100, "time in all", "code")[0])


def test_requests_before_the_first_one_say_so() -> None:
    feeds = feeds_of(FakeClient())
    feeds.traces.renew(0.0)
    assert "no request has finished" in shown(tabs.requests(feeds, 80, "time in all", "")[0])


def test_events_are_made_once_and_filtered() -> None:
    client = FakeClient()
    client.found = [
        Event(1.0, "daemon.started", "info", "", {}, 1),
        Event(2.0, "engine.exited", "error", "chat", {"text": "it ended"}, 2),
    ]
    feeds = feeds_of(client)
    feeds.events.renew(0.0)
    made = tabs.EventRows()
    rows = made.rows(feeds, 80, "")
    assert [row.key for row in rows] == ["1", "2"]
    assert made.rows(feeds, 80, "")[0] is rows[0]
    assert [row.key for row in made.rows(feeds, 80, "ENDED")] == ["2"]


def test_event_rows_that_are_not_shown_any_more_are_not_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tabs, "MOST_SPARE", 0)
    client = FakeClient()
    client.found = [Event(1.0, "daemon.started", "info", "", {}, 1)]
    feeds = feeds_of(client)
    feeds.events.renew(0.0)
    made = tabs.EventRows()
    for columns in range(80, 90):
        made.rows(feeds, columns, "")
    assert len(made._made) <= 2


def test_cost_is_that_of_the_command_and_says_why_there_is_none() -> None:
    client = FakeClient()
    client.shown["cost"] = costs_shown()
    feeds = feeds_of(client)
    feeds.cost.renew(0.0)
    assert "1M tokens" in shown(tabs.cost(feeds, 80))
    client.error = VllmdError("no usage can be read")
    feeds.cost.renew(1000.0)
    assert shown(tabs.cost(feeds, 80)).startswith("no usage can be read")


def test_tabs_of_other_hosts_say_where_to_look() -> None:
    for rows in (
        tabs.requests(None, 80, "time in all", "")[0],
        tabs.EventRows().rows(None, 80, ""),
        tabs.cost(None, 80),
    ):
        assert "run 'vllmd top' there" in shown(rows)
