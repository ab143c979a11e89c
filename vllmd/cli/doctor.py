"""`vllmd doctor`: what will fail, found before it does."""

import sys
from pathlib import Path
from typing import Any

import attrs
import click

from vllmd.cli import terminal
from vllmd.cli.examining import (
    as_table,
    lines_of,
    look,
    make_case,
    problem_as_table,
    show_problems,
)
from vllmd.cli.options import (
    complete_engine,
    config_option,
    config_to_read,
    json_option,
    socket_option,
)
from vllmd.config import load
from vllmd.config.problem import ConfigProblem
from vllmd.control.client import ControlClient
from vllmd.doctor.capacity import longest, tokens_in
from vllmd.doctor.case import Case
from vllmd.doctor.checks import CHECKS, examine
from vllmd.doctor.finding import Finding, FindingSeverity
from vllmd.doctor.seen import GpuFacts
from vllmd.errors import UnknownEngineError
from vllmd.gpu.fit import kept_bytes
from vllmd.util.units import format_bytes, parse_bytes


def _size(_ctx: click.Context, _param: click.Parameter, value: str | None) -> int | None:
    try:
        return None if value is None else parse_bytes(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command()
@click.argument("engine", required=False, shell_complete=complete_engine)
@config_option
@click.option(
    "--gpu-memory",
    metavar="SIZE",
    callback=_size,
    help="Assume that each GPU has this much memory, such as 80GiB: to plan a host.",
)
@click.option("--offline", is_flag=True, help="Do not ask the hub for a model that is not here.")
@socket_option
@json_option
def command(
    client: ControlClient,
    engine: str | None,
    config_path: Path,
    gpu_memory: int | None,
    offline: bool,
    as_json: bool,
) -> None:
    """Find what will fail, or perform badly, before an engine is started.

    Reads the configuration, the heads of the model's files, and the host; starts nothing. The
    network is asked only for a model that would have to be downloaded. Exits 1 if something will
    fail. docs/doctor.md explains each check.
    """
    config_path = config_to_read(client, config_path)
    config, problems = load.load(config_path)
    if engine is not None and engine not in config.engines:
        raise UnknownEngineError.among(engine, config.engines)
    view = look(config, client)
    if gpu_memory is not None:
        gpus = (GpuFacts(gpu_memory, 0, gpu_memory),) * max(8, len(view.host.gpus or ()))
        view = attrs.evolve(view, host=attrs.evolve(view.host, gpus=gpus, gpu_nodes=None))
    chosen = [name for name in config.engines if engine in (None, name)]
    cases = [make_case(config, name, view, network=not offline) for name in chosen]
    findings = [finding for case in cases for finding in examine(case)]
    if as_json:
        _print_json(cases, findings, problems)
    else:
        show_problems(str(config_path), problems)
        _print_text(cases, findings)
    sys.exit(1 if any(each.severity is FindingSeverity.ERROR for each in findings) else 0)


def _print_json(cases: list[Case], findings: list[Finding], problems: list[ConfigProblem]) -> None:
    shown = {
        "capacity": {case.engine.name: sizes(case) for case in cases},
        "findings": [as_table(each) for each in findings],
        "problems": [problem_as_table(each) for each in problems],
        "checks": list(CHECKS),
    }
    terminal.echo_json(shown, indent=2)


def _print_text(cases: list[Case], findings: list[Finding]) -> None:
    if not cases:
        terminal.echo(
            "no engine is configured, so nothing was checked; 'vllmd init' writes a first one"
        )
        return
    for case in cases:
        terminal.echo(terminal.style(f"engine {case.engine.name}", bold=True))
        for line in terminal.wrap(_in_words(case), first="  ", rest="    "):
            terminal.echo(line)
        for each in findings:
            if each.engine == case.engine.name:
                for line in lines_of(each):
                    terminal.echo(line)
    worst = [each.severity for each in findings]
    counts = [f"{worst.count(each)} {each}" for each in FindingSeverity if each in worst]
    terminal.echo(f"{len(CHECKS)} checks of each engine: {', '.join(counts) or 'nothing found'}")


def sizes(case: Case) -> dict[str, Any] | None:
    """Return what the prediction says of an engine, in bytes and tokens; None if it cannot."""
    capacity, model, context = case.capacity, case.model.architecture, case.context
    if capacity is None or model is None:
        return None
    shown: dict[str, Any] = {**attrs.asdict(capacity), "max_model_len": context}
    if context is not None:
        tokens = tokens_in(capacity.kv_bytes, case.demand, model, context)
        shown["kv_tokens"] = tokens
        shown["requests_at_full_length"] = round(tokens / context, 2)
        most = longest(max(0, capacity.kv_bytes), case.demand, model, model.longest or context)
        shown["longest_max_model_len"] = most
    return shown


def _in_words(case: Case) -> str:
    shown = sizes(case)
    if shown is None:
        return "how much memory it takes cannot be said: " + _unknown(case)
    kv_bytes = shown["kv_bytes"]
    words = (
        f"weights {format_bytes(shown['weights_bytes'])}, context and largest batch "
        f"{format_bytes(shown['working_bytes'])}, KV cache {format_bytes(max(0, kv_bytes))} "
        f"of {format_bytes(shown['budget_bytes'])} on each GPU"
    )
    if "kv_tokens" in shown and kv_bytes > 0:
        words += (
            f": {shown['kv_tokens']:,} tokens, {shown['requests_at_full_length']:g} requests of "
            f"{shown['max_model_len']:,} at once; the longest that would fit: "
            f"{shown['longest_max_model_len']:,}"
        )
    if case.engine.preload:
        words += f"; what keeps the weights takes {format_bytes(kept_bytes(case.gpu_count))} more"
    if case.model.is_estimate:
        return words + " (predicted; weights by an estimate from config.json)"
    return words + " (predicted)"


def _unknown(case: Case) -> str:
    if case.engine.is_stand_in:
        return "it is the stand-in"
    model = case.model
    if model.folder is None and not model.config:
        return "the model is not on this host"
    if not model.config or (model.weights and model.architecture is None):
        return "its files do not say (config.json and safetensors are read)"
    if not model.weights:
        kind = model.config.get("model_type") or "none"
        return (
            "there are no safetensors, and from config.json alone the sizes of this architecture "
            f"(model_type: {kind}) are not guessed"
        )
    return "no GPU can be read here (--gpu-memory 80GiB supposes one)"
