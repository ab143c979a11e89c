"""Tables of the configuration that are about no engine: history, logs, GPUs, notifications."""

import attrs

from vllmd.config import rules
from vllmd.config.rules import key
from vllmd.util.units import HOUR_S


@attrs.frozen
class HistoryConfig:
    """How much of what happened is kept."""

    keep_days: float = key(
        rules.number(0, 3650, above=True),
        90.0,
        help="Days that events are kept; only days on which vllmd runs count.",
        reason="A quarter: last month's failure is compared with this month's.",
    )
    max_mb: int = key(
        rules.integer(1, 100_000),
        64,
        help="Largest size of the file, in megabytes (MiB): the oldest routine events are removed "
        "first, failures last.",
        reason="Some 150,000 events: years of a calm host, and no disk is filled by a storm.",
    )


@attrs.frozen
class LogsConfig:
    """What the engines print: when their logs are rotated, and how much of them is kept."""

    rotate: str = key(
        rules.either(
            'one of "hourly", "daily", "weekly", "never"',
            rules.matching(r"hourly|daily|weekly|never", ""),
        ),
        "daily",
        help='When a log is rotated: "hourly", "daily", "weekly", "never" (by size only).',
    )
    rotate_mb: int = key(
        rules.integer(1, 100_000),
        100,
        help="Size at which a log is rotated earlier, in megabytes (MiB).",
        reason="A file that an editor still opens; vLLM prints some megabytes a day.",
    )
    keep: int = key(
        rules.integer(0, 100_000),
        14,
        help="Rotated files to keep for each engine.",
        reason="Two weeks of days, as the classic logrotate stanza has it.",
    )
    budget_mb: int = key(
        rules.integer(3, 10_000_000),
        2048,
        help="Largest size of all log files of one engine together, in megabytes (MiB): the "
        "oldest are removed first. At least three times rotate_mb.",
        reason="Fourteen full files and room for two; a log must not fill the disk of the host.",
    )
    compress: bool = key(
        rules.boolean,
        True,
        help="Compress rotated files, all but the newest, with gzip at the lowest priority.",
    )
    journal: bool = key(
        rules.boolean,
        False,
        help="Copy each line to journald too, with VLLMD_ENGINE and VLLM_PROCESS as fields.",
    )
    stdout: bool = key(
        rules.boolean,
        False,
        help="Copy each line to the daemon's standard output too, behind the engine's name: where "
        "the logs of a container are read.",
    )


@attrs.frozen
class GpuConfig:
    """How the GPUs are read."""

    source: str = key(
        rules.either(
            'one of "auto", "nvml", "demo", "none"', rules.matching(r"auto|nvml|demo|none", "")
        ),
        "auto",
        help='Where readings come from: "auto" (NVML where the host has an NVIDIA GPU), "nvml", '
        '"demo" (a GPU that does not exist, and says so), "none".',
    )
    every_s: float = key(
        rules.number(0.05, HOUR_S),
        1.0,
        help="How often memory, use, power, temperature and clocks are read, in seconds.",
        reason="A reading costs a fifth of a millisecond (docs/gpu.md), and peaks last seconds.",
    )
    processes_s: float = key(
        rules.number(0.5, HOUR_S),
        10.0,
        help="How often the processes that hold memory are listed, in seconds; every second while "
        "an engine starts or stops.",
        reason="Listing them takes a lock of the driver, which on some GPUs holds up kernels.",
    )
    slow_s: float = key(
        rules.number(1, HOUR_S),
        15.0,
        help="How often energy, errors, links and limits are read, in seconds.",
        reason="They change rarely, and some cost milliseconds.",
    )
    peak_window_s: float = key(
        rules.number(1, HOUR_S),
        60.0,
        help="Window of the highest memory and power, in seconds. Longer than the scrape interval "
        "of every Prometheus, so that each sees every peak.",
        reason="Prometheus scrapes every minute by default.",
    )
    host_memory_floor: float = key(
        rules.number(0, 0.5),
        0.02,
        help="Where the GPU shares the host's memory (GB10, Jetson): below this share of it "
        "available, the engine that holds most is drained and started again; one that has served "
        "in between is stopped the second time in an hour. 0 turns that off.",
        reason="2.4 GiB of 120: such a host locks up before the kernel ends a process.",
    )


@attrs.frozen
class NotifyConfig:
    """Who is told at once when an engine fails, is held, or serves again."""

    webhook_url: str | None = key(
        rules.matching(r"https?://[^\s/]+(/\S*)?", "an http or https URL"),
        None,
        help="URL that gets notices by POST. It is masked wherever it is shown.",
        example='"https://hooks.example.org/vllmd"',
    )
    webhook_url_file: str | None = key(
        rules.absolute_path,
        None,
        help="A file with that address, where it is not to be in this one; webhook_url wins.",
        example='"/etc/vllmd/credentials/webhook"',
    )
    webhook_format: str = key(
        rules.either(
            'one of "json", "slack", "alertmanager", "alertmanager-webhook"',
            rules.matching(r"json|slack|alertmanager|alertmanager-webhook", ""),
        ),
        "json",
        help='The body: "json", "slack" (also Mattermost), "alertmanager" (give the URL of its '
        '/api/v2/alerts) or "alertmanager-webhook" (what its own webhook receivers get).',
    )
    webhook_timeout_s: float = key(
        rules.number(0, HOUR_S, above=True),
        10.0,
        help="How long one attempt may take, in seconds; there are eight, with growing pauses.",
        reason="Chat services answer within a second; a proxy that hangs must not stop the rest.",
    )
