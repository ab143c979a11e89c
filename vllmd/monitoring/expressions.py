"""Pieces of PromQL that several rules need. Pure.

A scrape that fails ends all series of its host until the next one, so a rule that looks at one
instant ends then, and waits anew. A rule asks for a window instead.
"""

GAP = "3m"
"""Longer than one failed scrape at Prometheus' usual interval of a minute."""


AGAIN = "15m"
"""In so long something that comes and goes is seen several times."""


def last(selector: str) -> str:
    """Return the newest value, also while one scrape is missing."""
    return f"last_over_time({selector}[{GAP}])"


ON_ENGINE = "on (instance, vllmd_engine)"
WANTED = f"{ON_ENGINE} {last('vllmd_engine_wanted')} == 1"
"""Of an engine that is to run."""


REPLICAS = 'vllmd_engine_info{fleet!="",role!="member"}'
"""Engines of fleets; of a group the head is the replica."""
AWAITS_HOST = last("vllmd_group_awaited_host_info")
"""Of an engine that waits for another host of its group: what is told of that is told once."""


def still(selector: str, labels: str = "instance, vllmd_engine") -> str:
    """Return what holds while a series is there.

    Counts of an engine that was renamed, or a GPU that was exchanged, go on within their windows.
    """
    return f"and on ({labels}) {last(selector)}"


def comes_and_goes(selector: str, times: int = 2, window: str = AGAIN) -> str:
    """Return what is true of a series of 0 and 1 that became 1, or 0, so many times in a window.

    Of a fault that is there every other minute `for` begins anew each time, so that nobody is
    told; or somebody is told anew every other minute.
    """
    return f"changes({selector}[{window}]) > {2 * times - 2}"


def condition_again(condition: str, window: str = AGAIN) -> str:
    """Return the same of an expression that is 0 or 1 (`> bool`), each minute."""
    return f"changes(({condition})[{window}:1m]) > 2"


def rise(selector: str, window_m: int, ago_m: int = 0) -> str:
    """Return how much the lowest value of a window is above that of the window before.

    `window_m` is the length of each in minutes; the newer one ended `ago_m` minutes ago.
    """
    newer = f" offset {ago_m}m" if ago_m else ""
    return (
        f"(min_over_time({selector}[{window_m}m]{newer})"
        f" - min_over_time({selector}[{window_m}m] offset {ago_m + window_m}m))"
    )


def keeps_rising(selector: str, by: int, window_m: int, times: int) -> str:
    """Return what is true of a series that rose by more than `by`, so many windows on end.

    Its value is the newest rise. One step, however large, is in one of them only. A series that has
    ended rises no more.
    """
    rises = [f"{rise(selector, window_m, n * window_m)} > {by}" for n in range(times)]
    return "\n  and ".join([*rises, last(selector)])
