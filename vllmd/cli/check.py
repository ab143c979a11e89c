"""`vllmd check`: what is wrong with a configuration, and what it would run."""

import itertools
import os
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping
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
    config_option,
    config_to_read,
    json_option,
    socket_option,
    web_options,
)
from vllmd.config import CONFIG_PATH, lines, load
from vllmd.config import command as commands
from vllmd.config.model import Config
from vllmd.config.problem import ConfigProblem, InvalidConfigError, ProblemSeverity
from vllmd.config.run_options import Overrides
from vllmd.config.stop_time import longest_stop_s
from vllmd.control.client import ControlClient
from vllmd.doctor import host, service
from vllmd.doctor.case import Case, HostFacts, read_model
from vllmd.doctor.checks import examine
from vllmd.doctor.checks.compute import compute_capability
from vllmd.doctor.checks.preload import preload
from vllmd.doctor.checks.visible import gpu_count, visible_devices
from vllmd.doctor.finding import Finding, FindingSeverity
from vllmd.errors import ConfigError
from vllmd.http.address import UNIT, unused_listen
from vllmd.installing import flags
from vllmd.installing.probing import record_for, table_for
from vllmd.shim.files import read_regular
from vllmd.util.redact import MASK, masked

SAID = ("flags", "engine-missing", "preload")
"""Checks of the doctor that are problems of the configuration here, with their line."""
_KEYS = {
    "visible-devices": "env.CUDA_VISIBLE_DEVICES",
    "gpu-count": "flags.tensor-parallel-size",
}
"""The keys that those are about which are not about the model."""


@click.command()
@config_option
@web_options
@click.option("--deep", is_flag=True, help="Also say what 'vllmd doctor' finds.")
@click.option("--offline", is_flag=True, help="With --deep: do not ask the hub.")
@socket_option
@json_option
def command(
    client: ControlClient,
    config_path: Path,
    listen: tuple[str, int] | None,
    web_config_file: str | None,
    deep: bool,
    offline: bool,
    as_json: bool,
) -> None:
    """Check a configuration and show the exact commands.

    Prints every mistake at once, and for each engine the command and the environment that would
    be run, with secrets masked. Flags are compared with those of the vLLM that would run them, if
    'vllmd engine' knows it. Keys that environment variables of this terminal give are shown with
    them. The web configuration is checked, and the files that it names. Exits 78 if the
    configuration cannot be used.
    """
    config_path = config_to_read(client, config_path)
    try:
        config, problems = load.load(config_path)
    except InvalidConfigError as error:
        _show_problems(str(config_path), error.problems, as_json)
        sys.exit(ConfigError.exit_code)
    config = Overrides(listen, web_config_file).apply(config)
    engines = commands.build_all(config)
    problems = problems + [_not_found(name, c) for name, c in engines.items() if not c.found]
    problems += _refused(config, engines)
    problems += _not_kept(config, engines)
    problems += [] if deep else _not_on_these_gpus(config, engines)
    problems += [] if deep else _no_folder(config)
    problems += _unused_listen(config, config_path)
    web_problems = _of_web_config(config)
    findings = list(_findings(config, client, offline)) if deep else []
    if as_json:
        web = (config.daemon.web_config_file, web_problems)
        _print_json(problems, config, engines, findings if deep else None, web)
    else:
        show_problems(str(config_path), problems)
        show_problems(str(config.daemon.web_config_file), web_problems)
        _print_text(config, engines)
        for engine, found in itertools.groupby(findings, key=lambda each: each.engine):
            terminal.echo(terminal.style(f"doctor on {engine}", bold=True))
            for line in (line for each in found for line in lines_of(each)):
                terminal.echo(line)
    if any(problem.severity is ProblemSeverity.ERROR for problem in problems + web_problems):
        sys.exit(ConfigError.exit_code)
    sys.exit(1 if any(each.severity is FindingSeverity.ERROR for each in findings) else 0)


def _of_web_config(config: Config) -> list[ConfigProblem]:
    """Return what is wrong with the web configuration, if there is one, and what it names."""
    path = config.daemon.web_config_file
    if path is None:
        return []
    from vllmd.http import web_file

    try:
        return list(web_file.load(Path(path)).warnings)
    except InvalidConfigError as error:
        return error.problems


def _unused_listen(config: Config, path: Path) -> Iterator[ConfigProblem]:
    """Yield that the units of the package listen elsewhere, if this is their configuration."""
    held = service.exporter_addresses() if path == CONFIG_PATH else ()
    said = [unused_listen(config.daemon.listen, address) for address in held]
    if said and all(said):
        numbers = _numbers(config)
        yield ConfigProblem(
            f"is not used: {UNIT} of systemd listens, on {_joined(held)}",
            f"change the unit (systemctl edit {UNIT}), or take the key out",
            "daemon.listen",
            numbers.get(("daemon", "listen")),
            ProblemSeverity.WARNING,
        )


def _joined(addresses: Iterable[tuple[str, int]]) -> str:
    return " and ".join(f"[{h}]:{p}" if ":" in h else f"{h}:{p}" for h, p in addresses)


def _refused(config: Config, engines: commands.Commands) -> Iterator[ConfigProblem]:
    """Yield what the vLLM of each engine would not take, with the line it stands in."""
    numbers = _numbers(config)
    for name, built in engines.items():
        engine = config.engines[name]
        table = table_for(built.argv[0]) if built.found and not engine.is_stand_in else None
        for problem in flags.problems(engine, table) if table else ():
            given = _variable(config, problem.key)
            yield attrs.evolve(problem, line=_line(numbers, problem.key), variable=given)


def _numbers(config: Config) -> Mapping[tuple[str, ...], int]:
    """Return the lines of the file's keys; none where variables alone configure."""
    try:
        source = read_regular(Path(str(config.path)), load.MAX_BYTES).decode()
    except FileNotFoundError:
        return {}
    return lines.parse_lines(source)


def _line(numbers: Mapping[tuple[str, ...], int], key: str) -> int | None:
    """Return where a key stands; of a flag, however it is written there."""
    table, engine, *rest = key.split(".", 3)
    wanted = rest[-1].replace("_", "-") if rest else ""
    for path, line in numbers.items():
        same_table = path[:2] == (table, engine) and path[2:-1] == tuple(rest[:-1])
        if same_table and path[-1].replace("_", "-") == wanted:
            return line
    return None


def _findings(config: Config, client: ControlClient, offline: bool) -> Iterator[Finding]:
    """Yield what the doctor finds, less what was said of the flags already."""
    view = look(config, client)
    for name in config.engines:
        case = make_case(config, name, view, network=not offline)
        yield from (each for each in examine(case) if each.check not in SAID)


def _not_found(name: str, built: commands.Command) -> ConfigProblem:
    return ConfigProblem(
        f"no program {built.argv[0]!r} can be run",
        "install vLLM (vllmd engine install), or give its path",
        f"engines.{name}.executable",
        severity=ProblemSeverity.WARNING,
    )


def _no_folder(config: Config) -> Iterator[ConfigProblem]:
    """Yield which model is a path to nothing; with --deep the doctor says it."""
    numbers = _numbers(config)
    for name, engine in config.engines.items():
        if engine.model.startswith("/") and not engine.is_stand_in and not _is_there(engine.model):
            key = f"engines.{name}.model"
            yield ConfigProblem(
                f"there is no folder {engine.model!r} that can be read here",
                "correct the path; 'vllmd doctor' looks as the service's user",
                key,
                _line(numbers, key),
                ProblemSeverity.WARNING,
                _variable(config, key),
            )


def _not_on_these_gpus(config: Config, engines: commands.Commands) -> Iterator[ConfigProblem]:
    """Yield what the GPUs here cannot compute, or are not; with --deep the doctor says it."""
    ours = [name for name, engine in config.engines.items() if not engine.is_stand_in]
    gpus = host.read_gpus() if ours else None
    if not gpus:
        return
    here = HostFacts(gpus, gpu_nodes=host.gpu_nodes(), in_container=host.in_container(os.environ))
    numbers = _numbers(config)
    for name in ours:
        built, engine = engines[name], config.engines[name]
        program = built.argv[0] if built.found else ""
        case = Case(
            config,
            engine,
            built.env,
            read_model(engine.model, built.env),
            here,
            installed=record_for(program),
        )
        for finding in (*compute_capability(case), *visible_devices(case), *gpu_count(case)):
            if finding.severity is not FindingSeverity.INFO:
                key = f"engines.{name}.{_KEYS.get(finding.check, 'model')}"
                text = f"{finding.found}: {finding.reason}"
                line, severity = _line(numbers, key), ProblemSeverity.WARNING
                given = _variable(config, key)
                yield ConfigProblem(text, finding.fix, key, line, severity, given)


def _not_kept(config: Config, engines: commands.Commands) -> Iterator[ConfigProblem]:
    """Yield why weights cannot be kept in GPU memory, where that is asked for."""
    numbers = _numbers(config)
    for name, engine in config.engines.items():
        if not engine.preload:
            continue
        built = engines[name]
        model = read_model(engine.model, built.env)
        installed = record_for(built.argv[0]) if built.found else None
        case = Case(config, engine, built.env, model, HostFacts(), installed=installed)
        for finding in preload(case):
            key, text = f"engines.{name}.preload", f"{finding.found}: {finding.reason}"
            given = _variable(config, key)
            yield ConfigProblem(text, finding.fix, key, _line(numbers, key), variable=given)


def _variable(config: Config, key: str) -> str | None:
    """Return the variable that gave a key; of a flag, however it is written there."""
    return config.variables.get(key) or config.variables.get(key.replace("_", "-"))


def _is_there(path: str) -> bool:
    try:
        return Path(path).exists()
    except OSError:
        return False


def _show_problems(path: str, problems: list[ConfigProblem], as_json: bool) -> None:
    if as_json:
        _print_json(problems, None, {}, None, (None, []))
    else:
        show_problems(path, problems)


def _print_text(config: Config, engines: commands.Commands) -> None:
    if not engines:
        terminal.echo(f"{config.path}: no engine is configured; 'vllmd init' writes a first one")
    for name, built in engines.items():
        terminal.echo(terminal.style(f"engine {name}", bold=True))
        terminal.echo(f"  {shlex.join(built.masked_argv())}")
        if built.weights is not None:
            terminal.echo(f"  before it: {shlex.join(built.weights.masked_argv())}")
        for variable, value in sorted(built.masked_own_env().items()):
            terminal.echo(f"  {variable}={shlex.quote(value)}")
    if engines:
        longest_s = longest_stop_s(config.engines.values())
        terminal.echo(
            f"a stop takes up to {longest_s:g} s: in a container, what its runtime is to wait for"
        )
    if config.variables:
        there = "" if _is_there(str(config.path)) else ", which is not there"
        title = terminal.style("from environment variables", bold=True)
        terminal.echo(f"{title}, above {config.path}{there}")
        for key, variable in config.variables.items():
            value = shlex.quote(_shown(key, variable))
            for line in terminal.wrap(f"{key}: {variable}={value}", first="  ", rest="      "):
                terminal.echo(line)


def _shown(key: str, variable: str) -> str:
    """Return a variable's value as it may be shown: what a header has is a secret."""
    if "headers" in key.split("."):
        return MASK
    return str(masked(variable, os.environ.get(variable, "")))


def _print_json(
    problems: list[ConfigProblem],
    config: Config | None,
    engines: commands.Commands,
    findings: list[Finding] | None,
    web: tuple[str | None, list[ConfigProblem]],
) -> None:
    listed = [problem_as_table(each) for each in problems]
    shown = {
        name: {
            "argv": built.masked_argv(),
            "env": built.masked_own_env(),
            "found": built.found,
            "weights_argv": built.weights.masked_argv() if built.weights else None,
        }
        for name, built in engines.items()
    }
    said: dict[str, Any] = {
        "problems": listed,
        "engines": shown,
        "variables": dict(config.variables) if config else {},
    }
    if config is not None:
        said["longest_stop_seconds"] = longest_stop_s(config.engines.values())
    if web[0] is not None:
        said["web_config"] = {
            "file": web[0],
            "problems": [problem_as_table(each) for each in web[1]],
        }
    if findings is not None:
        said["findings"] = [as_table(each) for each in findings]
    terminal.echo_json(said, indent=2)
