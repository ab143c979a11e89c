"""`vllmd engine compare`: the version that serves, held against the one before it."""

import os
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs
import click

from vllmd.cli import terminal
from vllmd.cli.ask import api_keys
from vllmd.cli.options import complete_engine, config_option, json_option, socket_option
from vllmd.cli.table import format_table, join
from vllmd.comparing.bench import ROUND_S, LoadSpec, Round, Target, measure
from vllmd.comparing.comparison import FigureRow, VersionComparison, same_load
from vllmd.comparing.comparison import compare as held_against
from vllmd.comparing.record import Measured, before, keep, of_run
from vllmd.config import load as loading
from vllmd.config import paths
from vllmd.config.command import Command, build
from vllmd.control.client import ControlClient
from vllmd.errors import CompareError, UnknownEngineError
from vllmd.installing.progress import progress_bar

FOLDER = "measured"
HEADER = ["", "BEFORE", "NOW", "CHANGE", "ROUNDS DIFFER BY"]
_DEFAULT = LoadSpec()


def _records() -> Path:
    """Return where records are: the system's for root, else one's own."""
    return paths.engine_prefix().parent / FOLDER


@click.command("compare")
@click.argument("engine", shell_complete=complete_engine)
@click.option("--requests", type=click.IntRange(1), default=_DEFAULT.requests, show_default=True)
@click.option(
    "--at-once",
    type=click.IntRange(1),
    default=_DEFAULT.at_once,
    show_default=True,
    help="Requests that are under way at the same time.",
)
@click.option(
    "--prompt-tokens", type=click.IntRange(1), default=_DEFAULT.prompt_tokens, show_default=True
)
@click.option(
    "--answer-tokens", type=click.IntRange(1), default=_DEFAULT.answer_tokens, show_default=True
)
@click.option(
    "--rounds",
    type=click.IntRange(1, 20),
    default=3,
    show_default=True,
    help="Runs of the load, each with other prompts; what they differ by is noise.",
)
@click.option(
    "--records",
    type=click.Path(path_type=Path, file_okay=False),
    default=_records,
    show_default="/opt/vllmd/measured for root, else ~/.local/share/vllmd/measured",
    help="The folder of what was measured.",
)
@click.option(
    "--round-timeout",
    type=click.FloatRange(min=1),
    default=ROUND_S,
    show_default=True,
    help="Seconds after which a round is given up, and nothing is concluded.",
)
@click.option("--while-serving", is_flag=True, help="Measure beside the requests of others.")
@config_option
@socket_option
@json_option
def compare(
    client: ControlClient,
    config_path: Path,
    engine: str,
    requests: int,
    at_once: int,
    prompt_tokens: int,
    answer_tokens: int,
    rounds: int,
    records: Path,
    round_timeout: float,
    while_serving: bool,
    as_json: bool,
) -> None:
    """Measure the version of vLLM that serves, and hold it against the one before.

    Run it before an upgrade and after it. 'vllm bench serve' of the version before makes the same
    load for both, if it is still installed. Exits 1 if the version is worse: then go back.
    """
    status = _serving(client, engine, while_serving)
    config, _ = loading.load(config_path)
    if engine not in config.engines:
        raise UnknownEngineError.among(engine, list(config.engines))
    command = build(config.engines[engine])
    load = LoadSpec(requests, at_once, prompt_tokens, answer_tokens)
    if (done := of_run(records, engine, status["run_id"] or "", load)) is not None:
        raise CompareError(
            f"this run of {engine} was measured with that load at {_time(done.at)}, so its prefix "
            f"cache knows the prompts: 'vllmd restart {engine}' first, or take another load"
        )
    old = before(records, engine, status["model"], status["vllm_version"], load)
    program = old.program if old and os.access(old.program, os.X_OK) else _program(command)
    key = command.api_key or api_keys(None)(engine)
    target = Target(status["url"], status["served_names"][0], status["model"], key)
    measured = _measure(program, target, load, rounds, command, status, round_timeout)
    if client.engine(engine)["run_id"] != status["run_id"]:
        raise CompareError(
            f"{engine} ended while it was measured, and nothing is concluded: 'vllmd why {engine}'"
        )
    path = keep(records, measured)
    if old is None:
        _tell_first(measured, path, as_json)
        return
    if not same_load(old, measured):
        raise CompareError(
            f"the prompts are not those of {old.version}: its 'vllm bench' ({old.program}) is "
            f"gone, and that of {measured.version} draws others; what was measured now is in {path}"
        )
    found = held_against(old, measured)
    if as_json:
        shown = {"before": old.version, "now": measured.version, **found.to_json()}
        terminal.echo_json({**shown, "record": str(path)}, indent=2)
    else:
        for line in lines(old, measured, found):
            terminal.echo(line)
    if found.worse:
        sys.exit(1)


def _serving(client: ControlClient, engine: str, while_serving: bool) -> dict[str, Any]:
    """Return the status of an engine that can be measured. Raises: CompareError: it cannot be."""
    status = client.engine(engine)
    if not status["up"]:
        raise CompareError(f"{engine} is {status['state']}: only one that serves can be measured")
    if not status.get("vllm_version"):
        raise CompareError(f"{engine} has not said its version yet: try again in a minute")
    if status["busy"] and not while_serving:
        raise CompareError(
            f"{engine} has requests under way, which would count as its own: measure when it is "
            "idle, or with --while-serving"
        )
    return status


def _program(command: Command) -> str:
    if not command.found or command.argv[0] == sys.executable:
        raise CompareError(f"{command.argv[0]} is no vllm that could make the load")
    return command.argv[0]


def _measure(
    program: str,
    target: Target,
    load: LoadSpec,
    rounds: int,
    command: Command,
    status: dict[str, Any],
    within_s: float,
) -> Measured:
    env = {**command.env, "VLLM_LOGGING_LEVEL": "ERROR"}
    made: list[Round] = []
    text = f"measure {status['name']} {status['vllm_version']}"
    with progress_bar(text) as report:
        for number in range(1, rounds + 1):
            report(f"{text}, round {number} of {rounds}", (number - 1) / (rounds + 1))
            made.append(measure(program, target, load, number, env, within_s))
        report(f"{text}, the first round again", rounds / (rounds + 1))
        again = measure(program, target, load, 1, env, within_s)
        report(text, 1.0)
    return Measured(
        status["name"],
        status["vllm_version"],
        status["model"],
        load,
        program,
        time.time(),
        tuple(made),
        status["run_id"] or "",
        again.answers,
    )


def _tell_first(measured: Measured, path: Path, as_json: bool) -> None:
    if as_json:
        shown = {"before": None, "now": measured.version, "record": str(path)}
        terminal.echo_json(
            {**shown, "rounds": [attrs.asdict(r) for r in measured.rounds]}, indent=2
        )
        return
    terminal.echo(f"{measured.engine}: vLLM {measured.version} is measured, and kept in {path}")
    terminal.echo("run the same command after the upgrade: it holds that version against this one")


def lines(old: Measured, new: Measured, found: VersionComparison) -> Iterator[str]:
    """Write a comparison for people."""
    yield terminal.style(f"{new.engine}: vLLM {new.version} beside {old.version}", bold=True)
    rows = [_cells(row) for row in found.rows]
    rows.append(["failed requests", *(f"{share:.1%}" for share in found.failed), "", ""])
    for cells in format_table(HEADER, rows):
        yield join(cells)
    if found.same_answers is not None:
        own = found.own_answers
        alone = "" if own is None else f"; of {old.version} alone, asked twice: {own:.0%}"
        yield f"the same answers: {found.same_answers:.0%}{alone}"
    yield ""
    if found.worse:
        yield terminal.style(f"go back: worse in {', '.join(found.worse)}", "red")
        yield f"  vllmd engine rollback && vllmd restart {new.engine}"
    else:
        yield terminal.style(f"stay with {new.version}: nothing is worse", "green")
    if found.failed[1] > found.failed[0] and not found.failed_more:
        yield terminal.style(
            "some requests failed, no more than by chance: see 'vllmd logs'", "yellow"
        )
    if found.answers_differ:
        yield terminal.style("look at the answers: more of them differ than by chance", "yellow")


def _cells(row: FigureRow) -> list[str]:
    return [
        row.name,
        _value(row.before, row.unit),
        _value(row.after, row.unit),
        f"{row.change:+.1%}" + (" worse" if row.worse else ""),
        f"{row.noise:.1%}",
    ]


def _time(at: float) -> str:
    return datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M")


def _value(value: float, unit: str) -> str:
    if unit == "s":
        return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"
    return f"{value:,.1f}{unit}"
