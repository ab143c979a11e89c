"""`vllmd run`: the daemon in the foreground."""

import os
import shlex
import sys
from pathlib import Path

import attrs
import click

from vllmd.cli import terminal
from vllmd.cli.options import config_option, web_options
from vllmd.config import CONFIG_PATH, load, paths
from vllmd.config.fallback import LoadedConfig, load_or_fall_back
from vllmd.config.model import Config
from vllmd.config.paths import engine_log, log_dir
from vllmd.config.run_options import Overrides
from vllmd.daemon import startup
from vllmd.daemon.daemon import Daemon
from vllmd.daemon.environment import Address, Environment
from vllmd.demo.config import DEMO_FILE, DEMO_GPUS, demo_config, write_for_commands
from vllmd.engine.process.spawner import DirectSpawner, SocketSpawner
from vllmd.eventlog import log
from vllmd.eventlog.bus import EventBus
from vllmd.events.base import emit
from vllmd.events.daemon import ConfigRefused, ConfigWarned
from vllmd.gpu.hardware import has_nvidia_gpu
from vllmd.http import web_file
from vllmd.notify.systemd import Notifier, take_sockets
from vllmd.util.allocator import stop_collecting_what_is_there
from vllmd.util.parts import PartRunner, run_main
from vllmd.util.redact import Redactor


@click.command()
@config_option
@web_options
@click.option("--demo", is_flag=True, help="Run the stand-in engine, with no configuration file.")
@click.option("--banner/--no-banner", default=None, help="Print where to look once it runs.")
@click.option(
    "--service",
    is_flag=True,
    help="Run as systemd's service: leave the engines running on SIGTERM, and come up with a "
    "broken configuration too, starting nothing new until it is fixed.",
)
@click.option(
    "--engine-socket",
    type=click.Path(path_type=Path),
    help="Start engines by connecting to this socket of systemd's, not as own processes.",
)
@click.option("--debug", is_flag=True, help="Log more.")
def command(
    config_path: Path,
    listen: tuple[str, int] | None,
    web_config_file: str | None,
    demo: bool,
    banner: bool | None,
    service: bool,
    engine_socket: Path | None,
    debug: bool,
) -> None:
    """Run the daemon in the foreground.

    SIGINT, SIGTERM and SIGQUIT stop the engines, then the daemon. A daemon that was killed finds
    its engines when it is started again, and goes on with them. As the first process of a container
    this is two processes: one that reaps and hands signals on, and the daemon, which it starts
    again.

    SIGHUP reads the configuration again. A broken one changes nothing. With a good one the engines
    serve on; one whose command changed is named by 'vllmd status' and waits for 'vllmd restart'.
    """
    startup.raise_open_files()
    bus, redactor, parts = EventBus(), Redactor(), PartRunner()
    parts.know("log")
    log.configure(debug=debug, steps=[redactor, bus], failed=parts.note)
    environment = Environment(
        feed=bus,
        redactor=redactor,
        parts=parts,
        spawner=SocketSpawner(engine_socket) if engine_socket else DirectSpawner(),
        sockets=take_sockets(),
        notifier=Notifier(),
        leaves_engines=service,
        overrides=Overrides(listen, web_config_file),
    )
    show = demo if banner is None else banner
    loaded = _load(config_path, demo=demo, service=service)
    config = environment.overrides.apply(loaded.config)
    loaded = attrs.evolve(loaded, config=config)
    if not service and config.daemon.web_config_file:
        web_file.load(Path(config.daemon.web_config_file))
    _report(loaded)
    run_main(_run(loaded, environment, show), parts)


async def _run(loaded: LoadedConfig, environment: Environment, banner: bool) -> None:
    def started(address: Address) -> None:
        stop_collecting_what_is_there()
        if banner:
            _print_banner(loaded.config, address)

    await Daemon(loaded.config, environment, problem=loaded.problem).run(started)


def _load(given_path: Path, *, demo: bool, service: bool) -> LoadedConfig:
    config_path = given_path.absolute()  # commands in other folders are told of it
    if demo:
        gpus = "" if has_nvidia_gpu() else DEMO_GPUS
        folder = paths.state_dir(Config(), os.environ)
        text = demo_config(folder / "demo-adapters") + gpus
        folders = {
            "run_dir": paths.run_dir(Config(), os.environ).absolute(),
            "state_dir": folder.absolute(),
            "log_dir": log_dir(Config(), os.environ).absolute(),
        }
        write_for_commands(text, folder / DEMO_FILE, folders)
        return LoadedConfig(*load.parse(text))
    if service:
        return load_or_fall_back(config_path, paths.state_dir(Config(), os.environ))
    return LoadedConfig(*load.load(config_path))


def _report(loaded: LoadedConfig) -> None:
    import structlog  # which `vllmd.daemon` has imported without rich

    logger = structlog.get_logger()
    for warning in loaded.warnings:
        emit(logger, ConfigWarned(problem=warning.format(loaded.config.path)))
    if loaded.problem:
        emit(logger, ConfigRefused(problem=loaded.problem))


def _print_banner(config: Config, address: Address) -> None:
    """Say where to look; the first engine serves as the example."""
    rows = [
        ("metrics", f"{address.exporter}/metrics"),
        ("readiness", f"{address.exporter}/-/ready"),
    ]
    for engine in config.engines.values():
        names = [*engine.served_names]
        if engine.lora is not None:
            names += engine.lora.modules
            names += [f"and what is in {engine.lora.directory}"] if engine.lora.directory else ()
        rows.append((f"API {engine.name}", f"{engine.url}/v1  (models: {', '.join(names)})"))
        rows.append((f"log {engine.name}", str(engine_log(log_dir(config), engine.name))))
    width = max(len(name) for name, _ in rows)
    lines = "\n".join(f"  {name:<{width}}  {text}" for name, text in rows)
    pasted = "\n".join(f"  {line}" for line in _to_paste(config, address))
    terminal.echo_text(
        f"\nvllmd runs; Ctrl-C stops it and its engines.\n{lines}\n\n"
        f"In another terminal:\n{pasted}\n"
    )


def _to_paste(config: Config, address: Address) -> list[str]:
    """Return commands that find this daemon, and its files when it has ended."""
    file = config.path or str(paths.state_dir(config) / DEMO_FILE)
    lines = []
    if Path(file) != CONFIG_PATH:
        lines.append(f"export VLLMD_CONFIG={shlex.quote(os.path.abspath(file))}")
    named = paths.named_run_dir(Path(file)) or Path(paths.default_run_dir({}))
    if str(paths.control_socket(named)) != address.control:
        lines.append(f"export VLLMD_SOCKET={shlex.quote(address.control)}")
    program = shlex.quote(sys.argv[0] if "/" in sys.argv[0] else "vllmd")
    return [*lines, f"{program} status", f"{program} ask", f"{program} why"]
