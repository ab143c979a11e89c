"""What another host answers of its part of a group, as the head and as a member take it."""

import json

import attrs
import structlog

from tests.fuzz.target import Target
from vllmd.config.fleet import FleetHost
from vllmd.fleet.pages import HostPageError
from vllmd.groups.failures import GroupFailures
from vllmd.groups.page import EndOfPart, GroupPage, GroupWish, for_others
from vllmd.groups.peers import PeerWatch, _read
from vllmd.groups.rules import Limits, Own, head, member
from vllmd.util.clock import SystemClock
from vllmd.util.loop_lag import LoopLag
from vllmd.util.terminal_text import harmless_value

END = EndOfPart("abc", 2.5, False, "exited with code 0", "unknown", "host", "E.", "A.", ("line",))
PAGES = (
    GroupPage(
        "gpu02", 1, "abc", runs=True, wish=GroupWish("restart", "abc"), ended=END, failure=END
    ),
    GroupPage("gpu02", 1, None, waits=True, state="waits", for_s=5.0, gpus_busy=True),
    GroupPage(
        "gpu02", 1, "abc", failed_host="gpu01", failure=END, addresses=("10.0.0.2",), vllm="0.32"
    ),
)


def _run(data: bytes) -> None:
    try:
        shown = json.loads(data)
    except (ValueError, RecursionError):
        return  # `HostPages` refuses it
    peer = PeerWatch(FleetHost("gpu02"), "chat", 1, lambda: 10.0)
    try:
        page = _read(peer, shown)
    except HostPageError as error:
        str(error)
        return
    peer.page, peer.asked_at = page, 9.0
    peer.heard()
    peer.look(frozenset({"10.0.0.9"}))
    known = peer.known()
    for runs in (False, True):
        own = Own(generation="abc", runs=runs, at_gate=not runs)
        head(own, {"gpu02": known}, Limits())
        member(own, known, Limits())
    lag = LoopLag(SystemClock())
    GroupFailures("gpu01", {1: peer}, lag, structlog.get_logger()).hear(page, own.generation)
    json.dumps(for_others(page, str).to_json())
    harmless_value(attrs.asdict(page))


TARGET = Target(
    "peers",
    _run,
    lambda: [json.dumps(each.to_json()).encode() for each in PAGES],
    scraps=(
        b"null",
        b"[]",
        b"{}",
        b'"schema": 1',
        b'"rank": 1.5',
        b"1e308",
        b"true",
        b'"\\ud800"',
        b"NaN",
        b"Infinity",
    ),
)
