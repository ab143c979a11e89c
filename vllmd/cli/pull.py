"""`vllmd pull`: a model into the hub's cache, before an engine needs it."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import attrs
import click

from vllmd.cli import terminal
from vllmd.cli.options import config_option, config_to_read, json_option, socket_option
from vllmd.config import command as commands
from vllmd.config import credentials, load
from vllmd.config.model import Config
from vllmd.config.problem import InvalidConfigError
from vllmd.control.client import ControlClient
from vllmd.doctor import service
from vllmd.engine.model_files.base_model import HUB_NAME, hub_cache
from vllmd.errors import VllmdError
from vllmd.pulling.pull import Progress, Pulled, pull
from vllmd.pulling.selection import READ
from vllmd.util.units import format_bytes

STEPS = 20
"""Without a terminal a line is printed for each of so many parts."""


def _complete(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Name the engines of the configuration and their models that begin so."""
    try:
        config, _ = load.load(_ctx.params.get("config_path") or Path("/etc/vllmd/vllmd.toml"))
    except InvalidConfigError:
        return []
    engines = config.engines
    names = {*engines, *(e.model for e in engines.values() if HUB_NAME.fullmatch(e.model))}
    return sorted(name for name in names if name.startswith(incomplete))


class _InterruptedError(VllmdError):
    """Somebody pressed Ctrl-C."""

    exit_code = 130


@attrs.frozen
class _Wanted:
    """A model, and the environment of whoever will read it."""

    model: str
    revision: str
    env: Mapping[str, str]


@click.command()
@click.argument("model", shell_complete=_complete)
@config_option
@click.option("--revision", help="A branch, a tag or a commit; main, or what the engine has.")
@click.option(
    "--verify", is_flag=True, help="Hold what is here against the hub's hashes too: it is read."
)
@socket_option
@json_option
def command(
    client: ControlClient,
    model: str,
    config_path: Path,
    revision: str | None,
    verify: bool,
    as_json: bool,
) -> None:
    """Download a model from the hub before an engine needs it.

    MODEL is a name on the hub, such as Qwen/Qwen3-8B, or an engine of the configuration: then its
    model, its revision and its HF_HOME are taken. Files that are here are kept, and of an earlier
    pull parts of files too; all that comes is held against the hub's hashes, and with --verify
    what is here. Room on the disk is looked at first. The token is HF_TOKEN, or that of
    /etc/vllmd/credentials/hf_token.
    """
    wanted = _wanted(model, _config(config_to_read(client, config_path)), revision)
    if wanted.model.strip() and Path(wanted.model).is_dir():
        raise VllmdError(f"{wanted.model} is a folder on this host: there is nothing to download")
    if not HUB_NAME.fullmatch(wanted.model):
        raise click.BadParameter(f"{wanted.model!r} is no name on the hub, such as Qwen/Qwen3-8B")
    done = _pull(wanted, quiet=as_json, verify=verify)
    if not done.weights:
        terminal.echo(
            f"warning: {done.model} has no weights at {wanted.revision!r} ({READ}): no engine can "
            "serve it; look at its page",
            err=True,
        )
    if as_json:
        terminal.echo_json({**attrs.asdict(done), "folder": str(done.folder)})
        return
    for line in _told(done, verified=verify):
        terminal.echo(line)


def _pull(wanted: _Wanted, *, quiet: bool, verify: bool) -> Pulled:
    with _shown(wanted.model, quiet=quiet) as report:
        try:
            return pull(
                wanted.model,
                wanted.revision,
                wanted.env,
                hub_cache(wanted.env),
                token=_token(wanted.env),
                report=report,
                verify=verify,
            )
        except KeyboardInterrupt:
            raise _InterruptedError(
                f"{wanted.model} was interrupted; what came is kept, pull again to go on"
            ) from None


def _config(path: Path) -> Config:
    """Return the configuration; none is needed for a model that is named."""
    try:
        return load.load(path)[0]
    except InvalidConfigError:
        return Config()


def _wanted(word: str, config: Config, revision: str | None) -> _Wanted:
    """Return what is meant by the word: an engine's model, or one of that name."""
    unit = service.find() if os.geteuid() == 0 else None
    inherited = {**os.environ, **(unit.env if unit else {})}
    named = [e for n, e in config.engines.items() if word in (n, e.model)]
    if not named:
        return _Wanted(word, revision or "main", inherited)
    engine = named[0]
    own = engine.flags.get("revision")
    env = commands.build(engine, inherited).env
    return _Wanted(engine.model, revision or str(own or "main"), env)


def _token(env: Mapping[str, str]) -> str | None:
    given = env.get("HF_TOKEN") or env.get("HUGGING_FACE_HUB_TOKEN")
    return given or credentials.read().values.get("hf_token")


@contextmanager
def _shown(model: str, *, quiet: bool) -> Iterator[Callable[[Progress], None]]:
    """Show a bar on a terminal's standard error; elsewhere a line for each twentieth."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    moving = console.is_terminal and not quiet
    columns = (TextColumn("{task.percentage:>3.0f}%"), BarColumn(), DownloadColumn(True))
    with Bar(
        *columns, TransferSpeedColumn(), TimeRemainingColumn(), console=console, disable=not moving
    ) as bar:
        task = bar.add_task(model, total=None, visible=False)
        said = -1

        def report(now: Progress) -> None:
            nonlocal said
            bar.update(task, completed=now.done, total=now.total, visible=True)
            step = now.done * STEPS // max(1, now.total)
            if not moving and not quiet and step > said:
                said = step
                sizes = f"{format_bytes(now.done)} of {format_bytes(now.total)}"
                terminal.echo(f"{step * 100 // STEPS:3}%  {sizes}", err=True)

        yield report


def _told(done: Pulled, *, verified: bool) -> Iterator[str]:
    came = format_bytes(done.downloaded_bytes) if done.downloaded_bytes else "nothing new"
    size, what = format_bytes(done.bytes), f"{came} came"
    if verified or done.downloaded_bytes >= done.bytes:
        what = f"verified ({what})"
    elif done.downloaded_bytes:
        what += ", verified"
    yield f"{done.model} at {done.commit[:12]} is here: {done.files} files, {size}, {what}"
    for name in done.replaced:
        yield f"  {name} was not what the hub says, and came anew"
    yield f"  {done.folder}"
