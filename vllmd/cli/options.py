"""What several subcommands share: options, arguments, and how a group answers a wrong word."""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from vllmd.config import CONFIG_PATH
from vllmd.control.client import ControlClient
from vllmd.errors import VllmdError

F = TypeVar("F", bound=Callable[..., Any])


class CommandGroup(click.Group):
    """Names all its commands for one that does not exist, and guesses none: some of them act."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find the command. Raises: click.UsageError: there is none of that name."""
        if self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            known = ", ".join(self.list_commands(ctx))
            raise click.UsageError(f"no such command {args[0]!r}; there are: {known}", ctx)
        return super().resolve_command(ctx, args)


def config_option(function: F) -> F:
    """Add `-c`, as the parameter `config_path`."""
    _forget_config_option(function)
    return _config_option(function, expose=True)


def socket_option(function: F) -> F:
    """Add `--socket`, as the parameter `client`, and the `-c` that can say where it is."""
    option = click.option(
        "--socket",
        "client",
        envvar="VLLMD_SOCKET",
        show_default="in the configuration's run_dir; else the system's for root, else your own",
        callback=_client,
        help="The daemon's control socket (or VLLMD_SOCKET).",
    )
    function = option(function)
    has_config = any(param.name == "config_path" for param in _params(function))
    return function if has_config else _config_option(function, expose=False)


def _config_option(function: F, *, expose: bool) -> F:
    return click.option(
        "-c",
        "--config",
        "config_path",
        type=click.Path(path_type=Path, dir_okay=False),
        envvar="VLLMD_CONFIG",
        default=CONFIG_PATH,
        show_default=True,
        is_eager=True,  # --socket needs it
        expose_value=expose,
        callback=_note_config,
        help="The configuration file (or VLLMD_CONFIG)."
        if expose
        else "The configuration file (or VLLMD_CONFIG), of which run_dir is taken.",
    )(function)


def _params(function: Any) -> list[click.Parameter]:
    return getattr(function, "__click_params__", [])


def _forget_config_option(function: Any) -> None:
    """Take away the one that came with `--socket`: there is one `-c`."""
    params = _params(function)
    params[:] = [param for param in params if param.name != "config_path"]


_CONFIG = "vllmd.config_path"


def _note_config(ctx: click.Context, _param: click.Parameter, value: Path) -> Path:
    ctx.meta[_CONFIG] = value
    return value


def _client(ctx: click.Context, _param: click.Parameter, value: str | None) -> ControlClient:
    """Return the client of the daemon that is meant; what a group was told holds for its commands.

    The command line is before the environment, and VLLMD_SOCKET before VLLMD_CONFIG.
    """
    told = ctx.get_parameter_source("client"), ctx.get_parameter_source("config_path")
    outer = ctx.parent.params.get("client") if ctx.parent else None
    if isinstance(outer, ControlClient) and ParameterSource.COMMANDLINE not in told:
        return outer
    if value and told[0] is ParameterSource.COMMANDLINE:
        return ControlClient(Path(value))
    config_path = ctx.meta.get(_CONFIG, CONFIG_PATH)
    named = _socket_of(config_path)
    if named is not None and told[1] is ParameterSource.COMMANDLINE:
        return ControlClient(named)
    if value:
        return ControlClient(Path(value))
    if named is not None and told[1] is ParameterSource.ENVIRONMENT:
        return ControlClient(named)
    return ControlClient(_own_or_system(named))


def _socket_of(config_path: Path) -> Path | None:
    """Return the socket of the daemon that a configuration names; None if it names no run_dir."""
    from vllmd.config import paths  # it reads TOML: a command that is told its socket need not

    run_dir = paths.named_run_dir(config_path)
    return None if run_dir is None else paths.control_socket(run_dir)


def _own_or_system(named: Path | None) -> Path:
    """Prefer the user's own daemon, but find the system's when there is no other."""
    from vllmd.config import paths

    own = paths.control_socket(Path(paths.default_run_dir()))
    system = named or Path("/run/vllmd/control.sock")
    if own.exists():
        return own
    return system if named or system.exists() else own


def config_to_read(client: ControlClient, config_path: Path) -> Path:
    """Return the file that a command looks into: of the daemon that is asked, if none was named.

    So `vllmd check` and `vllmd status` speak of the same one, whatever says where the daemon is.
    """
    source = click.get_current_context().get_parameter_source("config_path")
    if source is not ParameterSource.DEFAULT:
        return config_path
    try:
        named = client.status()["daemon"]["config"]
    except VllmdError:
        return config_path
    return Path(named) if named else config_path


json_option: Callable[[F], F] = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def _in_utc(_ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value:
        os.environ["TZ"] = "UTC"
        time.tzset()


utc_option: Callable[[F], F] = click.option(
    "--utc",
    is_flag=True,
    is_eager=True,  # --since is read in that zone
    expose_value=False,
    callback=_in_utc,
    help="Times in UTC, not in the zone of this terminal.",
)


def _address(_ctx: click.Context, _param: click.Parameter, values: Sequence[str]) -> Any:
    from vllmd.config import rules

    if len(values) > 1:
        raise click.BadParameter(
            f"{', '.join(values)}: one address is taken; [::]:9840 listens on all of IPv6 and IPv4"
        )
    try:
        return rules.address(values[0]) if values else None
    except rules.RuleError as error:
        raise click.BadParameter(f"{values[0]!r} is not {error.expects}") from None


def _absolute(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    return str(Path(value).absolute()) if value else value


def web_options(function: F) -> F:
    """Add the two options that every Prometheus exporter has, as `listen` and `web_config_file`."""
    config_file = click.option(
        "--web.config.file",
        "web_config_file",
        metavar="FILE",
        type=click.Path(),
        callback=_absolute,
        help="File that turns on TLS and passwords for the exporter's port; instead of "
        "daemon.web_config_file.",
    )
    listen_address = click.option(
        "--web.listen-address",
        "listen",
        metavar="ADDRESS",
        multiple=True,
        callback=_address,
        help="Where the exporter listens, such as :9840 or 127.0.0.1:9840; instead of "
        "daemon.listen. Under systemd vllmd-exporter.socket decides.",
    )
    return listen_address(config_file(function))


def client_of(ctx: click.Context) -> ControlClient:
    """Return the client that a command was given, else the one of the environment."""
    given = ctx.params.get("client")
    if isinstance(given, ControlClient):
        return given
    if socket := os.environ.get("VLLMD_SOCKET"):
        return ControlClient(Path(socket))
    config_path = os.environ.get("VLLMD_CONFIG")
    named = _socket_of(Path(config_path or CONFIG_PATH))
    return ControlClient(named if named and config_path else _own_or_system(named))


def complete_engine(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Name the engines of the daemon that begin so."""
    try:
        engines = client_of(ctx).status()["engines"]
    except VllmdError:
        return []
    return [e["name"] for e in engines if e["name"].startswith(incomplete)]


def complete_model(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Name the models that the daemon's engines serve: the base models and the adapters."""
    client = client_of(ctx)
    try:
        names = {name for engine in client.status()["engines"] for name in engine["served_names"]}
        names |= {a["name"] for engine in client.adapters() for a in engine["adapters"]}
    except VllmdError:
        return []
    return sorted(name for name in names if name.startswith(incomplete))


engine_argument: Callable[[F], F] = click.argument(
    "engine", required=False, shell_complete=complete_engine
)
"""May be left out where there is one: `chosen_engine` says which."""


def chosen_engine(client: ControlClient, name: str | None) -> str:
    """Return the engine that is meant: the one that is named, or the only one.

    Raises: click.UsageError: there are several; VllmdError: there is none.
    """
    return name if name is not None else only_one([e["name"] for e in client.status()["engines"]])


def only_one(names: Sequence[str]) -> str:
    """Return the only engine. Raises: as `chosen_engine`."""
    if not names:
        raise VllmdError("no engine is configured; 'vllmd init' writes a first one")
    if len(names) > 1:
        raise click.UsageError(f"name an engine; there are: {', '.join(names)}")
    return names[0]
