"""`vllmd run`: the daemon in the foreground."""

import asyncio
import sys
from pathlib import Path

import click

from vllmd import events, log
from vllmd.cli.options import config_option
from vllmd.config import load
from vllmd.config.model import Config
from vllmd.config.paths import engine_log, log_dir
from vllmd.config.problem import Problem
from vllmd.daemon import Address, Daemon


@click.command()
@config_option
@click.option("--demo", is_flag=True, help="Run the stand-in engine, with no configuration file.")
@click.option("--banner/--no-banner", default=None, help="Print where to look once it runs.")
@click.option("--debug", is_flag=True, help="Log more.")
def command(config_path: Path, demo: bool, banner: bool | None, debug: bool) -> None:
    """Run the daemon in the foreground.

    SIGINT and SIGTERM stop the engines, then the daemon. A daemon that was killed finds its
    engines when it is started again, and goes on with them.
    """
    import structlog

    log.configure(debug=debug)
    config, warnings = _load(config_path, demo)
    for problem in warnings:
        text = problem.format(config.path)
        structlog.get_logger().warning(events.CONFIG_WARNED, problem=text)
    show = demo if banner is None else banner
    asyncio.run(_run(config, show))


async def _run(config: Config, banner: bool) -> None:
    daemon = Daemon(config)
    await daemon.run(lambda address: _print_banner(config, address) if banner else None)


def _load(config_path: Path, demo: bool) -> tuple[Config, list[Problem]]:
    if demo:
        from vllmd.demo.config import DEMO_CONFIG

        return load.parse(DEMO_CONFIG)
    return load.load(config_path)


def _print_banner(config: Config, address: Address) -> None:
    """Say where to look; the first engine serves as the example."""
    rows = [
        ("metrics", f"{address.exporter}/metrics"),
        ("readiness", f"{address.exporter}/-/ready"),
    ]
    for engine in config.engines.values():
        names = [*(engine.served_model_name or (engine.model,))]
        names += engine.lora.modules if engine.lora else ()
        rows.append((f"API {engine.name}", f"{engine.url}/v1  (models: {', '.join(names)})"))
        rows.append((f"log {engine.name}", str(engine_log(log_dir(config), engine.name))))
    rows.append(("status", f"{sys.argv[0]} status --socket {address.control}"))
    width = max(len(name) for name, _ in rows)
    lines = "\n".join(f"  {name:<{width}}  {text}" for name, text in rows)
    click.echo(f"\nvllmd runs; Ctrl-C stops it and its engines.\n{lines}\n")
