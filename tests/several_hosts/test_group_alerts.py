"""What alerts of a group are for, done to two hosts: their real pages, and what rules make of them.

Each host is a network namespace; minutes are said and not waited for.
"""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.helpers.hosts import EXPORTER, Host, Hosts, hosts
from tests.helpers.played_pages import PlayedPages
from tests.helpers.site import sweep
from tests.timelines.evaluation import Told, evaluate

AWAITED = "vllmd_group_awaited_host_info"
OF_ENGINES = re.compile(r"VllmdEngine|VllmdGroup|VllmdReplicas|VllmdDown")
MORE = """
flags.tensor-parallel-size = 2
liveness = { stall_s = 2, hang_s = 4 }
"""


def pages_of(host: Host, by: Host) -> PlayedPages:
    """Return the pages of one host, as another one reads them."""

    def metrics(_: str = "") -> str:
        url = f"http://{host.address}:{EXPORTER}/metrics"
        done = by.run("curl", "-s", "-f", "-m", "5", url)
        if done.returncode:
            raise httpx.ConnectError(f"curl ended with {done.returncode}")
        return done.stdout

    host.site.metrics = metrics  # type: ignore[method-assign, assignment]
    return PlayedPages(host.site, f"{host.address}:{EXPORTER}")


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Hosts]:
    with hosts(tmp_path, 2, "tensor", more=MORE) as found:
        found.serve()
        yield found


@pytest.fixture
def pages(made: Hosts) -> list[PlayedPages]:
    return [pages_of(host, made.head).look(10) for host in made.all]


def told(pages: list[PlayedPages], folder: Path) -> list[Told]:
    """Return what fires of engines and above in the last minute."""
    series = {name: values for each in pages for name, values in each.series().items()}
    (found,) = evaluate(series, [max(map(len, series.values())) - 1], folder)
    return [each for each in found if OF_ENGINES.match(each.name)]


def test_host_that_is_cut_off_is_named(
    made: Hosts, pages: list[PlayedPages], tmp_path: Path
) -> None:
    """`VllmdDown` is of the same host, so that Alertmanager can hold it back."""
    head, member = pages
    made.members[0].cable(plugged=False)
    head.until(f'{AWAITED}{{role="head",state="unreachable"}}', 1.0).look(40)
    member.away(40)
    found = told(pages, tmp_path)
    assert {each.name for each in found} == {"VllmdGroupIncomplete", "VllmdDown"}
    assert {each.labels["instance"] for each in found} == {member.host}
    for each in found:
        assert "<no value>" not in str(each.annotations)
        assert member.host in each.annotations["summary"]


def test_head_that_is_gone_is_named_by_its_member(
    made: Hosts, pages: list[PlayedPages], tmp_path: Path
) -> None:
    head, member = pages
    made.head.site.kill_daemon()
    sweep(made.head.site.folder)
    member.until(f'{AWAITED}{{role="member",state="unreachable"}}', 1.0).look(40)
    head.away(40)
    found = told(pages, tmp_path)
    assert {each.name for each in found} == {"VllmdGroupIncomplete", "VllmdDown"}
    assert {each.labels["instance"] for each in found} == {head.host}


def test_head_whose_cable_is_out_is_named_by_its_member_which_serves_nothing_by_it(
    made: Hosts, tmp_path: Path
) -> None:
    """Nothing is ended: the member is green again as soon as the head is."""
    (one,) = made.members
    head, member = pages_of(made.head, one).look(10), pages_of(one, one).look(10)
    before = made.generation
    made.head.cable(plugged=False)
    member.until(f'{AWAITED}{{role="member",state="unreachable"}}', 1.0).look(40)
    assert one.get("/ready/big")[0] == one.get("/-/ready")[0] == 503
    assert "the head cannot be reached" in str(one.reason)
    assert one.page()["runs"]
    head.away(40)
    found = told([head, member], tmp_path)
    assert {each.name for each in found} == {"VllmdGroupIncomplete", "VllmdDown"}
    assert {each.labels["instance"] for each in found} == {head.host}
    made.head.cable(plugged=True)
    made.serve(120)
    assert one.get("/ready/big")[0] == 200
    assert made.generation != before, "the head has ended it by hang_s"


def test_member_of_a_head_whose_vllmd_starts_again_is_never_red(made: Hosts) -> None:
    (one,) = made.members
    made.head.site.kill_daemon()
    for _ in range(30):
        assert (one.state, one.is_red) == ("ready", False)
        time.sleep(0.2)
    made.head.site.start()
    for _ in range(20):
        assert (one.state, one.is_red) == ("ready", False)
        time.sleep(0.2)


def test_group_that_somebody_stops_on_a_member_is_no_alert(
    made: Hosts, pages: list[PlayedPages], tmp_path: Path
) -> None:
    head, member = pages
    made.members[0].act("stop")
    head.until(f'{AWAITED}{{state="stopped"}}', 1.0).look(40)
    member.until("vllmd_engine_wanted", 0.0).look(40)
    assert not told(pages, tmp_path)
