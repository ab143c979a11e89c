from collections.abc import Iterator

import httpx
import pytest

from tests.helpers.top import SceneSource
from vllmd.cli.screen import hosts
from vllmd.cli.screen.hosts import Host, RemoteSource
from vllmd.errors import DaemonUnreachableError, VllmdError
from vllmd.util.units import MIB

DOCUMENT = SceneSource("all-well").status(series=True)


def page(answer: httpx.Response, url: str = "http://gpu-2:9840") -> tuple[RemoteSource, list[str]]:
    asked: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(f"{request.url} {request.headers.get('if-none-match', '-')}")
        return answer

    source = RemoteSource(url)
    source._client = httpx.Client(transport=httpx.MockTransport(handle))
    return source, asked


def test_page_source_asks_for_the_document_and_again_only_if_it_changed() -> None:
    source, asked = page(httpx.Response(200, json=DOCUMENT, headers={"etag": '"1"'}))
    assert source.status(series=False)["engines"]
    source.status(series=True)
    source.status(series=False)
    assert asked == [
        "http://gpu-2:9840/status.json -",
        "http://gpu-2:9840/status.json?series -",
        'http://gpu-2:9840/status.json "1"',
    ]


def test_page_source_takes_what_it_had_where_nothing_changed() -> None:
    source, _ = page(httpx.Response(200, json=DOCUMENT, headers={"etag": '"1"'}))
    first = source.status(series=False)
    source._client = httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(304)))
    assert source.status(series=False) is first


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (httpx.Response(401), "gpu-2:9840 wants a password"),
        (httpx.Response(404), "gpu-2:9840 answered 404"),
        (httpx.Response(200, text="<html>"), "not as vllmd does"),
        (httpx.Response(200, json={"engines": [{}]}), "not as vllmd does"),
        (httpx.Response(200, json=[]), "not as vllmd does"),
    ],
)
def test_page_source_says_what_is_wrong(answer: httpx.Response, said: str) -> None:
    source, _ = page(answer)
    with pytest.raises(VllmdError, match=said):
        source.status(series=False)


def test_page_source_that_does_not_answer_says_who() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("Connection refused")

    source = RemoteSource("gpu-2:9840")
    source._client = httpx.Client(transport=httpx.MockTransport(refuse))
    with pytest.raises(DaemonUnreachableError, match="gpu-2:9840 does not answer: Connection"):
        source.status(series=False)


def test_page_source_reads_no_answer_without_an_end() -> None:
    def more() -> Iterator[bytes]:
        for _ in range(hosts.MOST_BYTES // MIB + 1):
            yield bytes(MIB)
        pytest.fail("it reads on")

    source, _ = page(httpx.Response(200, content=more()))
    with pytest.raises(VllmdError, match=r"gpu-2:9840 sends more than 16\.0 MiB"):
        source.status(series=False)


def test_page_source_waits_for_no_answer_that_comes_bit_by_bit() -> None:
    clock = [0.0]

    def slowly() -> Iterator[bytes]:
        for _ in range(4):
            clock[0] += hosts.LONGEST_S / 3
            yield b" "
        pytest.fail("it waits on")

    source, _ = page(httpx.Response(200, content=slowly()))
    source._monotonic = lambda: clock[0]
    with pytest.raises(DaemonUnreachableError, match="answers too slowly"):
        source.status(series=False)


@pytest.mark.parametrize("url", ["ftp://gpu-2", "http://", "http://gpu-2:port"])
def test_page_source_refuses_what_is_no_address(url: str) -> None:
    with pytest.raises(VllmdError, match="is no address"):
        RemoteSource(url)


def test_host_keeps_what_it_saw_and_says_why_there_is_nothing_new() -> None:
    source = SceneSource("all-well")
    host = Host(source, local=True)
    host.look(10.0, 1.0, series=False)
    source.error = DaemonUnreachableError("gone")
    host.look(40.0, 2.0, series=False)
    assert (host.problem, host.age_s(40.0)) == ("gone", 30.0)
    assert host.engine("chat") is not None
    source.error = None
    host.look(41.0, 3.0, series=False)
    assert (host.problem, host.age_s(41.0)) == (None, 0.0)


def test_host_asks_for_series_each_five_seconds_and_only_where_they_are_shown() -> None:
    source = SceneSource("all-well")
    host = Host(source, local=True)
    for at in (0.0, 1.0, 4.9, 5.0, 6.0):
        host.look(at, 0.0, series=True)
    host.look(20.0, 0.0, series=False)
    assert source.asked == [True, False, False, True, False, False]
    assert host.engine_series("chat")["tokens_per_s"]
    assert host.engine_series("none") == {}


def test_host_of_an_older_daemon_has_no_series_and_the_time_of_here() -> None:
    source = SceneSource("all-well")
    document = dict(source.status(series=False))
    del document["at"]
    host = Host(source, local=True)
    source.status = lambda *, series: document  # type: ignore[method-assign]
    host.look(0.0, 77.0, series=True)
    assert (host.now, host.knows_series) == (77.0, False)
