"""What the daemon tells by itself: the service manager how it goes, a webhook what happened."""

from collections.abc import Callable, Container
from pathlib import Path

import structlog

from vllmd.config.secret_values import webhook_url
from vllmd.config.sections import NotifyConfig
from vllmd.engine.process import orphans
from vllmd.errors import ConfigError
from vllmd.events.base import emit
from vllmd.events.daemon import NotificationFailed
from vllmd.events.engine import EngineUnconfigured
from vllmd.notify.systemd import Notifier
from vllmd.notify.webhook import Outbox, Webhook
from vllmd.util.clock import Clock, until_tick

NOTIFY_EVERY_S = 5.0
WEIGHTS = "weights of "
"""Before an engine's name: what keeps its weights, which is no engine."""

_log = structlog.get_logger()


def expect_notices(notify: NotifyConfig, outbox: Outbox) -> None:
    """Keep notices from now on, if somebody is to get them: some come before the webhook works."""
    outbox.wanted = bool(notify.webhook_url or notify.webhook_url_file)


def notify_every_s(notifier: Notifier) -> float:
    """Return how often the service manager hears: a third of what it waits, in seconds."""
    return min(NOTIFY_EVERY_S, (notifier.watchdog_s or 60) / 3)


async def tell_manager(notifier: Notifier, say: Callable[[], str], clock: Clock) -> None:
    """Tell the service manager how it goes, and that the event loop lives, until cancelled."""
    notifier.send("READY=1")
    every_s = notify_every_s(notifier)
    while True:
        notifier.send("WATCHDOG=1")
        notifier.status(say())
        await clock.sleep(until_tick(clock, every_s))


async def send_notices(notify: NotifyConfig, outbox: Outbox, clock: Clock) -> None:
    """Send what is to be told at once, if anybody is, until cancelled."""
    try:
        url = webhook_url(notify)
    except ConfigError as error:
        outbox.wanted = False
        emit(_log, NotificationFailed(problem=str(error)))
        return
    outbox.wanted = url is not None
    if url is None:
        return
    timeout_s = notify.webhook_timeout_s
    await Webhook(outbox, url, notify.webhook_format, clock, timeout_s=timeout_s).run()


def unconfigured(run_dir: Path, configured: Container[str]) -> dict[str, int]:
    """Return what runs of engines that are in no configuration, each with its shim's process id.

    They are engines, and behind `WEIGHTS` those whose weights alone are kept.
    """
    engines = _alive(run_dir / "engines", configured)
    weights = _alive(run_dir / "weights", configured)
    return engines | {f"{WEIGHTS}{n}": pid for n, pid in weights.items() if n not in engines}


def _alive(folder: Path, configured: Container[str]) -> dict[str, int]:
    found = {}
    for directory in sorted(folder.glob("*")):
        run = None if directory.name in configured else orphans.read_run(directory)
        if run is not None and orphans.shim_alive(run):
            found[directory.name] = run["shim_pid"]
    return found


def report_unconfigured(run_dir: Path, configured: Container[str]) -> None:
    """Name engines that run and are not in the configuration; they are left alone.

    Weights are not named here: whoever ends them tells of them.
    """
    for name, shim_pid in _alive(run_dir / "engines", configured).items():
        emit(
            _log,
            EngineUnconfigured(
                shim_pid=shim_pid,
                advice=f"it is not supervised: put it back into the configuration, or end it with "
                f"'kill {shim_pid}' (its shim, which ends it in order)",
            ),
            engine=name,
        )
