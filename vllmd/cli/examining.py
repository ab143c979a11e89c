"""What doctor, check and init look at: engines, their models, the host as the engines see it."""

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs

from vllmd.cli import terminal
from vllmd.config import command as commands
from vllmd.config import paths
from vllmd.config.model import Config
from vllmd.config.problem import ConfigProblem, ProblemSeverity
from vllmd.control.client import ControlClient
from vllmd.doctor import group, hub, service
from vllmd.doctor import host as hosts
from vllmd.doctor.account import UserAccount, of_engines
from vllmd.doctor.case import Case, HostFacts, read_model
from vllmd.doctor.finding import Finding, FindingSeverity
from vllmd.errors import VllmdError
from vllmd.installing.probing import record_for, table_for

COLOURS = {
    FindingSeverity.ERROR: "red",
    FindingSeverity.WARNING: "yellow",
    FindingSeverity.INFO: "cyan",
}


@attrs.frozen
class HostView:
    """The host, and what an engine is given on it."""

    host: HostFacts
    account: UserAccount
    inherited: Mapping[str, str]


def look(config: Config, client: ControlClient) -> HostView:
    """Look at the host: root sees it as the package's unit does, where that is installed."""
    unit = service.find() if os.geteuid() == 0 else None
    inherited = {**os.environ, **(unit.env if unit else {})}
    status: Mapping[str, Any] | None = None
    gpus: Mapping[str, Any] | None = None
    with contextlib.suppress(VllmdError):  # no daemon answers
        status, gpus = client.status(), client.gpus()
    host = hosts.look(config, status, gpus, inherited, unit)
    return HostView(host, of_engines(unit=unit is not None), inherited)


def make_case(config: Config, name: str, view: HostView, *, network: bool = True) -> Case:
    """Gather all that is known of one engine; without `network` the hub is not asked."""
    engine = config.engines[name]
    built = commands.build(
        engine, view.inherited, traces=config.traces.endpoint, run=paths.run_dir(config)
    )
    model = read_model(engine.model, built.env)
    case = Case(config, engine, built.env, model, view.host, found=built.found)
    barrier = None if model.folder is None else view.account.barrier(model.folder)
    ask = network and case.to_be_downloaded and not is_offline(built.env)
    program = built.argv[0] if built.found and not engine.is_stand_in else ""
    problem = hub.problem(engine.model, built.env) if ask else None
    if ask and problem is None:
        model = attrs.evolve(model, config=hub.config_of(engine.model, built.env))
    return attrs.evolve(
        case,
        model=model,
        hub=problem,
        unreadable=barrier,
        installed=record_for(program),
        flag_table=table_for(program),
        group=group.look(name, engine, built, config.fleet, view.host.running),
    )


def is_offline(env: Mapping[str, str]) -> bool:
    """Tell whether an engine is told to ask nothing of the hub."""
    return env.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes")


def lines_of(finding: Finding) -> Iterator[str]:
    """Yield a finding as it is shown to a person, below the name of its engine."""
    head = f"{finding.severity} {finding.check}: {finding.found}"
    for line in terminal.wrap(head, first="  ", rest="    "):
        yield terminal.style(line, fg=COLOURS[finding.severity])
    yield from terminal.wrap(finding.reason, first="      ", rest="      ")
    yield from terminal.wrap(f"→ {finding.fix}", first="      ", rest="        ")


def as_table(finding: Finding) -> dict[str, Any]:
    """Return a finding as JSON has it."""
    return {**attrs.asdict(finding), "page": finding.page}


def show_problems(path: str, problems: Iterable[ConfigProblem]) -> None:
    """Print what is wrong with a file on standard error."""
    for problem in problems:
        colour = "red" if problem.severity is ProblemSeverity.ERROR else "yellow"
        for line in terminal.wrap(problem.format(path), rest="  "):
            terminal.echo(terminal.style(line, fg=colour), err=True)


def problem_as_table(problem: ConfigProblem) -> dict[str, Any]:
    """Return what is wrong with a file as JSON has it."""
    return {
        "severity": str(problem.severity),
        "key": problem.key,
        "line": problem.line,
        "variable": problem.variable,
        "message": problem.message,
        "fix": problem.fix,
    }
