"""What attacks on the receivers of spans cost a daemon.

Each row is a whole vllmd of its own beside a stand-in engine: how many CPU seconds it used for the
attack, and at most until it had answered `/-/healthy` and an engine's batch meanwhile; memory
before, at its peak and afterwards. Takes the program of another version, to compare it, and
then words of the names of attacks.
"""

import contextlib
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.helpers import attacks, otlp_attacks, site
from tests.helpers.attacks import Watched
from tests.helpers.otlp import export
from tests.helpers.otlp_attacks import BODIES, FLOODS, HELD, Target, target_of
from tests.helpers.site import Site
from tests.integration.conftest import receiving

HELD_S = 8.0
PATIENCE_S = 30.0


def _bodies() -> dict[str, Callable[[Target], object]]:
    def one(name: str) -> Callable[[Target], object]:
        body, kind, packed, _ = BODIES[name]()
        return lambda target: target.post(body, kind, packed=packed)

    return {name: one(name) for name in BODIES}


def _floods() -> dict[str, Callable[[Target], object]]:
    def seven(target: Target) -> object:
        with otlp_attacks.side_by_side(
            lambda: otlp_attacks.flood(target, FLOODS["rapid reset"]), 7
        ):
            return None

    def six(target: Target) -> object:
        return [otlp_attacks.flood(target, FLOODS["rapid reset"]) for _ in range(6)]

    def one(name: str) -> Callable[[Target], object]:
        return lambda target: otlp_attacks.flood(target, FLOODS[name])

    return {
        "rapid reset, 7 x 20,000 side by side": seven,
        "rapid reset, 6 x 20,000 in turn": six,
        **{name: one(name) for name in FLOODS if name != "rapid reset"},
    }


def _holds() -> dict[str, Callable[[Target], object]]:
    def one(name: str) -> Callable[[Target], object]:
        def hold(target: Target) -> None:
            with HELD[name](target):
                time.sleep(HELD_S)

        return hold

    return {name: one(name) for name in HELD}


def main() -> None:
    """Print the table."""
    if len(sys.argv) > 1:
        site.VLLMD = Path(sys.argv[1]).absolute()
    wanted = sys.argv[2:]
    attacks.PATIENCE_S = PATIENCE_S
    attacks.may_open(3000)
    print("| attack | CPU s | healthy | batch | MB before | peak | after |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, attack in {**_bodies(), **_floods(), **_holds()}.items():
        if not wanted or any(word in name for word in wanted):
            print(f"| {name} | {' | '.join(_try(attack))} |", flush=True)


def _try(attack: Callable[[Target], object]) -> list[str]:
    folder = Path(tempfile.mkdtemp(prefix="vllmd-", dir="/tmp"))
    with receiving(folder) as made:
        row = _under_attack(made, attack)
        if "failed" in row[1]:
            made.kill_daemon()
            made.start()  # so that its engine is stopped, too
        return row


def _under_attack(made: Site, attack: Callable[[Target], object]) -> list[str]:
    target, watched = target_of(made), Watched(made)
    body = export(100).SerializeToString()
    target.post(body)
    process = psutil.Process(made.daemon.pid)
    resident, before = process.memory_info().rss, watched.cost().cpu_s
    done = threading.Event()
    healthy: list[float] = []
    batch: list[float] = []

    def ask(what: Callable[[], object], into: list[float]) -> None:
        while not done.is_set():
            try:
                into.append(watched.cpu_until(what))
            except (httpx.HTTPError, AssertionError, OSError):
                into.append(float("inf"))
            done.wait(0.3)

    def send() -> None:
        assert target.post(body) == 200

    asking = [
        threading.Thread(target=ask, args=(watched.healthy, healthy)),
        threading.Thread(target=ask, args=(send, batch)),
    ]
    for thread in asking:
        thread.start()
    time.sleep(0.5)
    with contextlib.suppress(OSError):
        attack(target)
    used = watched.cost()
    done.set()
    for thread in asking:
        thread.join()
    time.sleep(2)
    return [
        f"{used.cpu_s - before:.2f}",
        _worst(healthy),
        _worst(batch),
        f"{resident / 1e6:.0f}",
        f"{watched.cost().peak_bytes / 1e6:.0f}",
        f"{process.memory_info().rss / 1e6:.0f}",
    ]


def _worst(seen: list[float]) -> str:
    failed = sum(each == float("inf") for each in seen)
    answered = [each for each in seen if each != float("inf")]
    most = f"{max(answered):.2f}" if answered else "none"
    return f"{most}, {failed} of {len(seen)} failed" if failed else most


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    main()
