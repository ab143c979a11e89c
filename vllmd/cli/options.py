"""Options and arguments that several subcommands share."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from vllmd.config import paths
from vllmd.control.client import ControlClient
from vllmd.errors import VllmdError

F = TypeVar("F", bound=Callable[..., Any])

config_option: Callable[[F], F] = click.option(
    "-c",
    "--config",
    "config_path",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="VLLMD_CONFIG",
    default=paths.CONFIG_PATH,
    show_default=True,
    help="The configuration file (or VLLMD_CONFIG).",
)


def socket_option(function: F) -> F:
    """Add `--socket`, as the parameter `client`."""
    return click.option(
        "--socket",
        "client",
        envvar="VLLMD_SOCKET",
        default=lambda: str(paths.control_socket(Path(paths.default_run_dir()))),
        show_default="of the system's daemon for root, else of your own",
        callback=lambda _ctx, _param, value: ControlClient(_daemon_socket(value)),
        help="The daemon's control socket (or VLLMD_SOCKET).",
    )(function)


def _daemon_socket(value: str) -> Path:
    """Prefer the user's own daemon, but find the system's when there is no other."""
    own, system = Path(value), Path("/run/vllmd/control.sock")
    default = paths.control_socket(Path(paths.default_run_dir()))
    return system if own == default and not own.exists() and system.exists() else own


json_option: Callable[[F], F] = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


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


def complete_engine(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Name the engines of the daemon that begin so."""
    import os

    path = os.environ.get("VLLMD_SOCKET") or str(
        paths.control_socket(Path(paths.default_run_dir()))
    )
    try:
        engines = ControlClient(_daemon_socket(path)).status()["engines"]
    except VllmdError:
        return []
    return [e["name"] for e in engines if e["name"].startswith(incomplete)]


engine_argument: Callable[[F], F] = click.argument("engine", shell_complete=complete_engine)
