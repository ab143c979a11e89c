"""`vllmd check`: what is wrong with a configuration, and what it would run."""

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import click

from vllmd.cli.options import config_option, json_option
from vllmd.config import command as commands
from vllmd.config import load
from vllmd.config.model import Config
from vllmd.config.problem import InvalidConfigError, Problem, Severity
from vllmd.errors import ConfigError


@click.command()
@config_option
@json_option
def command(config_path: Path, as_json: bool) -> None:
    """Check a configuration and show the exact commands.

    Prints every mistake at once, and for each engine the command and the environment that would
    be run, with secrets masked. Exits 78 if the configuration cannot be used.
    """
    try:
        config, problems = load.load(config_path)
    except InvalidConfigError as error:
        _show_problems(str(config_path), error.problems, as_json)
        sys.exit(ConfigError.exit_code)
    engines = commands.build_all(config)
    problems = problems + [_not_found(name, c) for name, c in engines.items() if not c.found]
    if as_json:
        _print_json(problems, engines)
        return
    _show_problems(str(config_path), problems, as_json=False)
    _print_text(config, engines)


def _not_found(name: str, built: commands.Command) -> Problem:
    return Problem(
        f"no program {built.argv[0]!r} can be run",
        "install vLLM, or give its path",
        f"engines.{name}.executable",
        severity=Severity.WARNING,
    )


def _show_problems(path: str, problems: list[Problem], as_json: bool) -> None:
    if as_json:
        _print_json(problems, {})
        return
    for problem in problems:
        colour = "red" if problem.severity is Severity.ERROR else "yellow"
        click.echo(click.style(problem.format(path), fg=colour), err=True)


def _print_text(config: Config, engines: commands.Commands) -> None:
    if not engines:
        click.echo(f"{config.path}: no engine is configured; add a table [engines.NAME]")
    for name, built in engines.items():
        click.echo(click.style(f"engine {name}", bold=True))
        click.echo(f"  {shlex.join(built.masked_argv())}")
        for variable, value in sorted(built.masked_own_env().items()):
            click.echo(f"  {variable}={shlex.quote(value)}")


def _print_json(problems: list[Problem], engines: commands.Commands) -> None:
    listed: list[dict[str, Any]] = [
        {
            "severity": str(p.severity),
            "key": p.key,
            "line": p.line,
            "message": p.message,
            "fix": p.fix,
        }
        for p in problems
    ]
    shown = {
        name: {"argv": built.masked_argv(), "env": built.masked_own_env(), "found": built.found}
        for name, built in engines.items()
    }
    click.echo(json.dumps({"problems": listed, "engines": shown}, indent=2))
