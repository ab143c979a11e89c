"""What the daemon tells by itself: the service manager how it goes, a webhook what happened."""

from collections.abc import Callable, Container
from pathlib import Path

import structlog

from vllmd import events
from vllmd.clock import Clock
from vllmd.config.secrets import webhook_url
from vllmd.config.sections import Notify
from vllmd.errors import ConfigError
from vllmd.notify.systemd import Notifier
from vllmd.notify.webhook import Outbox, Webhook
from vllmd.shim.protocol import SOCKET_NAME

NOTIFY_EVERY_S = 5.0

_log = structlog.get_logger()


def expect_notices(notify: Notify, outbox: Outbox) -> None:
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
        await clock.sleep(every_s)


async def send_notices(notify: Notify, outbox: Outbox, clock: Clock) -> None:
    """Send what is to be told at once, if anybody is, until cancelled."""
    try:
        url = webhook_url(notify)
    except ConfigError as error:
        outbox.wanted = False
        _log.error(events.NOTIFICATION_FAILED, problem=str(error))
        return
    outbox.wanted = url is not None
    if url is None:
        return
    timeout_s = notify.webhook_timeout_s
    await Webhook(outbox, url, notify.webhook_format, clock, timeout_s=timeout_s).run()


def report_unconfigured(run_dir: Path, configured: Container[str]) -> None:
    """Name engines that run and are not in the configuration; they are left alone."""
    try:
        directories = list((run_dir / "engines").iterdir())
    except OSError:
        return  # what cannot be listed cannot be used either, and that is said by whoever tries
    for directory in directories:
        if directory.name not in configured and (directory / SOCKET_NAME).exists():
            _log.warning(
                events.ENGINE_UNCONFIGURED,
                engine=directory.name,
                directory=str(directory),
                advice="put it back into the configuration, or end the process of its shim",
            )
