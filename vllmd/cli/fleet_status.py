"""`vllmd fleet status`: the engines of all hosts, from the pages of their daemons."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from vllmd.cli import engine_table, terminal
from vllmd.cli.fleet_asking import Pages, view_of
from vllmd.cli.options import config_option, json_option, socket_option
from vllmd.config.fleet import FleetHost
from vllmd.control.client import ControlClient
from vllmd.engine.state_machine import State
from vllmd.fleet.replicas import Replica, all_engines
from vllmd.util.terminal_text import one_line
from vllmd.util.units import format_duration


@click.command()
@config_option
@socket_option
@json_option
def status(client: ControlClient, config_path: Path, as_json: bool) -> None:
    """Show every engine of every host: its state, for how long, its load, and which vLLM.

    A host that does not answer is a line with the reason. Exits 0 whatever the hosts say; --json
    has the hosts' own documents.
    """
    view = view_of(config_path, client)

    async def ask() -> Pages:
        async with view.asking() as pages:
            return await pages()

    pages = asyncio.run(ask())
    if as_json:
        terminal.echo_json(_as_json(view.fleet.name, pages), indent=2)
        return
    for line in lines(pages, view.fleet.min_ready, terminal.width()):
        terminal.echo(line)


def _as_json(name: str | None, pages: Pages) -> dict[str, Any]:
    hosts = [
        {"host": str(host), "problem": str(page), "status": None}
        if isinstance(page, Exception)
        else {"host": str(host), "problem": None, "status": page}
        for host, page in pages.items()
    ]
    return {"fleet": name, "at": time.time(), "hosts": hosts}


def lines(pages: Pages, min_ready: int, columns: int | None) -> Iterator[str]:
    """Yield a sum for each engine, a table of all, and what is unequal or does not answer."""
    engines = list(all_engines(pages))
    replicas = [each for each in engines if not each.is_member]
    problems = {host: page for host, page in pages.items() if isinstance(page, Exception)}
    yield from _sums(replicas, len(pages), len(problems), min_ready)
    if engines or problems:
        yield ""
        yield from _table(engines, problems, pages, columns)
    for text in _unequal(engines):
        yield from (terminal.style(line, fg="yellow") for line in terminal.wrap(text, rest="  "))


def _sums(replicas: list[Replica], hosts: int, silent: int, min_ready: int) -> Iterator[str]:
    said = f"{hosts} host{'s' * (hosts != 1)}"
    yield f"{said}, {silent} not answering" if silent else said
    for name, found in _by_service(replicas).items():
        asleep = sum(r.wanted and r.is_asleep for r in found)
        ready, wanted = sum(r.up for r in found), sum(r.wanted for r in found) - asleep
        text = f"{name}: {ready} of {wanted} ready{f', {asleep} asleep' if asleep else ''}"
        short = ready < min_ready and wanted > 0
        colour = "red" if short else "green" if ready == wanted else "yellow"
        less = f", fewer than min_ready ({min_ready})" if short else ""
        yield terminal.style(f"{text}{less}", fg=colour)


def _by_service(replicas: list[Replica]) -> dict[str, list[Replica]]:
    """Return the replicas by what they serve."""
    found: dict[str, list[Replica]] = {}
    for replica in replicas:
        served = replica.served_names or [replica.name]
        found.setdefault(served[0], []).append(replica)
    return found


HEADER = ("HOST", "ENGINE", "STATE", "FOR", "RUN/WAIT", "TOK/S", "VLLM", "WHY")
LEAST_WANTED = ("TOK/S", "RUN/WAIT", "VLLM", "FOR")
"""What is left out first where a terminal has no room for the reasons."""
WHY_COLUMNS = 30
"""So much of a reason is shown at least, if it is as long."""


def _table(
    replicas: list[Replica],
    problems: Mapping[FleetHost, Exception],
    hosts: Iterable[FleetHost],
    columns: int | None,
) -> Iterator[str]:
    rows = [(_row(replica), _colour(replica)) for replica in replicas]
    silent = [([str(host), _reason(host, p)], "red") for host, p in problems.items()]
    header, widths = list(HEADER), _widths(HEADER, [row for row, _ in rows])
    widths[0] = max([widths[0], *(len(row[0]) for row, _ in silent)])
    room = min(WHY_COLUMNS, max([0, *(len(row[-1]) for row, _ in rows)]))
    for title in LEAST_WANTED:
        if columns is None or sum(widths) + 2 * len(widths) + room <= columns:
            break
        at = header.index(title)
        del header[at], widths[at]
        for cells, _ in rows:
            del cells[at]
    yield terminal.style(_cut(_line(header, widths), columns), bold=True)
    order = {str(host): number for number, host in enumerate(hosts)}
    every = [*rows, *silent]
    for cells, colour in sorted(every, key=lambda each: order[each[0][0]]):
        if len(cells) == 2:
            text = f"{cells[0].ljust(widths[0])}  {cells[1]}"
            yield terminal.style(_cut(text, columns), fg=colour)
        else:
            yield _coloured(_cut(_line(cells, widths), columns), cells, widths, colour)


def _widths(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    """Return how wide each column is; the last one has the rest."""
    return [
        max([len(title), *(len(row[at]) for row in rows)]) for at, title in enumerate(header[:-1])
    ]


def _row(replica: Replica) -> list[str]:
    engine = replica.engine
    load = engine_table.requests(engine)
    age = format_duration(replica.at - engine["since"]) if "since" in engine else "-"
    why = engine.get("reason") or ("" if replica.wanted else "stopped by hand, or no autostart")
    tokens = engine_table.number(engine.get("tokens_per_s"))
    cells = [str(replica.host), replica.name, replica.state, age, load, tokens]
    return [one_line(str(cell)) for cell in (*cells, replica.version or "-", why)]


def _reason(host: FleetHost, problem: Exception) -> str:
    return one_line(str(problem).removeprefix(f"{host}: "))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    fixed = [cell.ljust(width) for cell, width in zip(cells, widths, strict=False)]
    return "  ".join([*fixed, cells[-1]]).rstrip()


def _cut(text: str, columns: int | None) -> str:
    return text if columns is None or len(text) <= columns else f"{text[: columns - 1]}…"


def _colour(replica: Replica) -> str | None:
    if replica.state == State.READY and not replica.up:
        return "red"
    known: Mapping[str, str | None] = {str(k): v for k, v in engine_table.COLOURS.items()}
    return known.get(replica.state, "yellow")


def _coloured(line: str, cells: list[str], widths: list[int], colour: str | None) -> str:
    if colour is None:
        return line
    begin = widths[0] + widths[1] + 4
    end = begin + len(cells[2])
    return f"{line[:begin]}{terminal.style(line[begin:end], fg=colour)}{line[end:]}"


def _unequal(replicas: list[Replica]) -> Iterator[str]:
    """Yield what is not the same on all hosts, and should be."""
    for name, found in _by_service(replicas).items():
        versions = Counter(each.version for each in found if each.version)
        if len(versions) > 1:
            said = ", ".join(f"{version} ({count})" for version, count in versions.most_common())
            yield f"{name}: versions of vLLM differ: {said}; 'vllmd fleet upgrade' makes them one"
        changed = [each for each in found if each.engine.get("command_changed")]
        if changed:
            where = ", ".join(str(each.host) for each in changed[:5])
            yield (
                f"{name}: runs with an older configuration on {where}; 'vllmd fleet restart "
                f"{found[0].name}' takes the new one"
            )
