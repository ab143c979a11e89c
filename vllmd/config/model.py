"""The configuration as the rest of the program sees it: typed, frozen, complete."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import attrs

from vllmd.config import rules
from vllmd.config.cost import CostConfig
from vllmd.config.engine_environment import env_table
from vllmd.config.flags import flag_table, program
from vllmd.config.fleet import FleetConfig
from vllmd.config.group import GroupConfig
from vllmd.config.lora import LoraConfig
from vllmd.config.probe import ProbeConfig
from vllmd.config.rules import key, section
from vllmd.config.sections import GpuConfig, HistoryConfig, LogsConfig, NotifyConfig
from vllmd.config.sleep import SleepConfig
from vllmd.config.traces import TracesConfig
from vllmd.config.urls import url_of
from vllmd.util.units import DAY_S, HOUR_S, MINUTE_S

STAND_IN = "stand-in"
"""The value of `executable` that runs the embedded stand-in engine."""

DEFAULT_PORT = 8000
NAME_PATTERN = r"[a-z0-9][a-z0-9_-]{0,31}"
NAME_EXPECTS = "a name of lower-case letters, digits, - and _, 32 characters at most"

_EMPTY: Mapping[str, Any] = MappingProxyType({})


def _max_model_len(value: Any) -> int | str:
    human = rules.matching(r"\d+(\.\d+)?[kKmM]|auto", "")
    rule = rules.either(
        'a whole number of tokens, 1 or more, or "32k", or "auto"', rules.integer(1), human
    )
    result: int | str = rule(value)
    return result


@attrs.frozen
class RestartConfig:
    """How long to wait before an engine that ended unexpectedly is started again."""

    initial_s: float = key(
        rules.number(0, HOUR_S, above=True),
        1.0,
        help="Pause before the first restart, in seconds; it doubles with every failure.",
        reason="Nothing is gained by waiting after a first crash: the tree is gone, proven.",
    )
    max_s: float = key(
        rules.number(0, DAY_S, above=True),
        5.0 * MINUTE_S,
        help="Longest pause, in seconds.",
        reason="As long as a load takes: a host that fails for hours spends half of them idle.",
    )
    jitter: float = key(
        rules.number(0, 1),
        0.2,
        help="Random share of the pause that is added to it.",
        reason="Hosts that one outage took down together do not ask the model hub together.",
    )
    reset_after_s: float = key(
        rules.number(0, DAY_S),
        10.0 * MINUTE_S,
        help="Time, in seconds, after which an engine that stays ready gets the first pause again.",
        reason="Ready once proves nothing: an engine that dies at its first long prompt was ready.",
    )
    max_failures: int = key(
        rules.integer(1, 1000),
        10,
        help="Failures within window_s after which the engine is held.",
        reason="With the pauses above, ten failures are a quarter of an hour and ten loads.",
    )
    window_s: float = key(
        rules.number(0, 7 * DAY_S, above=True),
        3.0 * HOUR_S,
        help="The time in which failures are counted, in seconds.",
        reason="Loads take minutes: the 10 s of a service manager would never be reached.",
    )
    hold_retry_s: float = key(
        rules.number(0, 7 * DAY_S, above=True),
        30.0 * MINUTE_S,
        help="Time after which a held engine is retried once, in seconds; sooner when something it "
        "depends on has changed, or with 'vllmd start'.",
        reason="A wrong hold is an outage: half an hour bounds it, and costs one load.",
    )
    room_wait_s: float = key(
        rules.number(0, 7 * DAY_S),
        30.0 * MINUTE_S,
        help="Longest time that a start waits for enough free GPU memory, in seconds; then the "
        "engine is started anyway, after two minutes already if it is not certain that vLLM would "
        "refuse. 'vllmd start' starts it at once. 0: never wait.",
        reason="A start without room is a load for nothing; a wrong estimate is an outage, which "
        "half an hour bounds.",
    )


@attrs.frozen
class LivenessConfig:
    """When an engine that runs is taken for stalled, and what is done then."""

    stall_s: float = key(
        rules.number(0, HOUR_S, above=True),
        60.0,
        help="Time without an engine step and without CPU use, with requests running, after which "
        "an engine is stalled, in seconds.",
        reason="A step takes milliseconds to seconds; without CPU, and with nothing read, none is "
        "being computed. No GPU has to be read for that; a minute outlasts a pause of a disk.",
    )
    gpu_stall_s: float = key(
        rules.number(0, DAY_S),
        40.0,
        help="The same when its GPUs show that nothing is computed, whatever CPU is used, in "
        "seconds: idle, or at full use with a quiet memory bus and far less power than at work. "
        "At least the longest step so far; 0: GPUs are not considered.",
        reason="With two polls and the stacks, a verdict comes within a minute. A kernel of vLLM "
        "takes milliseconds; a step of 40 s at the power of an idle GPU was never seen.",
    )
    hang_s: float = key(
        rules.number(0, DAY_S, above=True),
        600.0,
        help="The same while CPU is used and no GPU shows a hang, in seconds: a long prefill, a "
        "compilation, or a kernel that spins where no GPU is read. It does not count while GPUs "
        "are seen to compute, up to six times as long.",
        reason="Twice vLLM's own VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS (300), which one GPU lacks.",
    )
    load_stall_s: float = key(
        rules.number(0, DAY_S, above=True),
        900.0,
        help="Time without output, CPU use and bytes moved after which a loading engine is "
        "stalled, in seconds. There is no other limit to a load.",
        reason="A file server that pauses for minutes is seen; 3.5 h of silence too (vLLM #20891).",
    )
    restart_stalled: bool = key(
        rules.boolean,
        True,
        help="Kill and restart an engine that is stalled; false only reports it.",
        reason="A stalled engine answers no request any more; nothing is lost by its end.",
    )
    diagnose_s: float = key(
        rules.number(0, HOUR_S),
        20.0,
        help="Longest time for taking stacks before a stalled engine is killed, in seconds.",
        reason="py-spy takes about a second for a process; an outage must not wait for more.",
    )
    canary: bool = key(
        rules.boolean,
        False,
        help="Send a completion of one token when the engine is idle: nothing else detects a core "
        "that hangs without requests.",
        reason="Off: it shows in the engine's counts and may wake a GPU that saves power.",
    )
    canary_every_s: float = key(
        rules.number(0, DAY_S, above=True),
        60.0,
        help="How long an engine is idle before the next canary, in seconds.",
        reason="One token a minute: nothing beside the idle power of a GPU.",
    )


@attrs.frozen
class EngineConfig:
    """One vLLM server: a base model, its adapters and how they are served."""

    name: str
    model: str = key(
        rules.text,
        help="The base model: a name on the Hugging Face hub, or a folder.",
        example='"Qwen/Qwen3-8B"',
    )
    served_model_name: tuple[str, ...] = key(
        rules.one_or_more_texts,
        (),
        help="The name (or names) that requests give as `model`; the model's own by default.",
        example='"chat"',
    )
    host: str = key(rules.text, "127.0.0.1", help="Address that the OpenAI API listens on.")
    port: int = key(rules.integer(1, 65535), DEFAULT_PORT, help="TCP port of the OpenAI API.")
    executable: tuple[str, ...] = key(
        program,
        ("vllm",),
        help="The vllm program: a name on PATH, a path, or a list with leading arguments; "
        f'"{STAND_IN}" runs the embedded stand-in engine.',
        example='"/opt/vllm/bin/vllm"',
    )
    autostart: bool = key(rules.boolean, True, help="Start this engine when the daemon starts.")
    quantization: str | None = key(
        rules.text, None, help="Quantization method (--quantization).", example='"fp8"'
    )
    gpu_memory_utilization: float | None = key(
        rules.number(0, 1, above=True),
        None,
        help="Share of each GPU's memory that this engine takes (--gpu-memory-utilization).",
        example="0.9",
    )
    max_model_len: int | str | None = key(
        _max_model_len,
        None,
        help="Context length: prompt and completion together, in tokens (--max-model-len).",
        example="32768",
    )
    max_num_seqs: int | None = key(
        rules.integer(1),
        None,
        help="Requests that are computed at once (--max-num-seqs).",
        example="256",
    )
    enable_prefix_caching: bool | None = key(
        rules.boolean,
        None,
        help="Keep the KV cache of common prefixes (--enable-prefix-caching).",
        example="true",
    )
    preload: bool = key(
        rules.boolean,
        False,
        help="Keep the weights in GPU memory by processes of their own (vllm preload, from vLLM "
        "0.31 on): an engine that died maps them when it starts again, and loads nothing.",
        reason="Off: a CUDA context more on each GPU, and not every quantization can.",
    )
    preload_verify: str = key(
        rules.matching("blocks|full", '"blocks" or "full"'),
        "blocks",
        help="How a model's files are compared with those that the kept weights were loaded from: "
        "size, times and blocks of each file, or all of its bytes (full).",
        reason="Blocks take a second; all bytes of a large model take minutes of reading.",
    )
    unready_s: float = key(
        rules.number(0, HOUR_S),
        5.0,
        help="How long /ready answers 503 before a serving engine is stopped, in seconds.",
        reason="Load balancers ask every few seconds; a request that comes later gets a 500.",
    )
    drain_s: float = key(
        rules.number(0, HOUR_S),
        30.0,
        help="How long a stop lets requests in flight finish, in seconds (--shutdown-timeout).",
        reason="Without it vLLM ends them with a 500. Most completions take less.",
    )
    stop_grace_s: float = key(
        rules.number(0, HOUR_S),
        15.0,
        help="How long the engine may take to end after its drain, in seconds; then its tree is "
        "killed.",
        reason="vLLM ends in 0.4 to 6 s (measured); its workers have a limit of 9 s of their own.",
    )
    lora: LoraConfig | None = section(
        LoraConfig, None, help="LoRA adapters; the table enables them."
    )
    sleep: SleepConfig | None = section(
        SleepConfig, None, help="When it sleeps; the table turns sleep mode on."
    )
    group: GroupConfig | None = section(
        GroupConfig, None, help="The hosts that serve this model together, with this one."
    )
    probe: ProbeConfig | None = section(
        ProbeConfig, None, help="Whether its answers are right; the table turns that on."
    )
    restart: RestartConfig = section(
        RestartConfig, help="When and how often an engine is started again."
    )
    liveness: LivenessConfig = section(
        LivenessConfig, help="When a running engine is taken for stalled."
    )
    flags: Mapping[str, Any] = key(
        flag_table,
        _EMPTY,
        help="Every other flag of `vllm serve`, by its name without the dashes. true gives "
        "--name, false --no-name, a list several values, a table JSON.",
        example="{ enforce-eager = true }",
    )
    traces: bool | None = key(
        rules.boolean,
        None,
        help="Have the engine send a span of each request to vllmd (--otlp-traces-endpoint). By "
        "default on, unless disable-log-stats or an endpoint of your own is set.",
        example="true",
    )
    env: Mapping[str, str] = key(
        env_table,
        _EMPTY,
        help="Environment variables of the engine. What looks like a secret is masked wherever "
        "it is shown.",
        example='{ HF_HOME = "/srv/huggingface" }',
    )
    secret_variables: frozenset[str] = frozenset()
    """Those of `env` that came from files of secrets: they are masked whatever their names are."""
    api_keys: tuple[str, ...] = attrs.field(default=(), repr=False)
    """All keys that its API takes, where there are several; VLLM_API_KEY is the first of them."""

    @property
    def url(self) -> str:
        """The base URL at which this host reaches the engine."""
        return url_of(self.host, self.port)

    @property
    def served_names(self) -> tuple[str, ...]:
        """The names that requests may give as `model` for the base model."""
        return self.served_model_name or (self.model,)

    @property
    def is_stand_in(self) -> bool:
        """Whether this is the embedded stand-in and not vLLM."""
        return self.executable == (STAND_IN,)


@attrs.frozen
class DaemonConfig:
    """The daemon itself; a folder that is not given is found as `vllmd.config.paths` says."""

    listen: tuple[str, int] = key(
        rules.address,
        ("0.0.0.0", 9840),
        help="Address and port of /metrics and the readiness checks.",
        example='"0.0.0.0:9840"',
    )
    web_config_file: str | None = key(
        rules.absolute_path,
        None,
        help="File that turns on TLS and passwords for that port, in the format of all Prometheus "
        "exporters. It is read again when it, or a certificate that it names, changes.",
        example='"/etc/vllmd/web.yml"',
    )
    open_readiness: bool = key(
        rules.boolean,
        False,
        help="Answer /-/healthy, /-/ready, /-/started, /ready/NAME and /started/NAME without a "
        "password, for load balancers and probes that cannot give one. TLS holds for them all the "
        "same.",
        reason="They name engines and say which of them serve.",
    )
    run_dir: str | None = key(
        rules.absolute_path,
        None,
        help="Folder for sockets and for what must be gone after a boot.",
        example='"/run/vllmd"',
    )
    state_dir: str | None = key(
        rules.absolute_path,
        None,
        help="Folder for what must be kept.",
        example='"/var/lib/vllmd"',
    )
    log_dir: str | None = key(
        rules.absolute_path,
        None,
        help="Folder for the engines' output.",
        example='"/var/log/vllmd"',
    )
    grafana_url: str | None = key(
        rules.web_address,
        None,
        help="Where Grafana is: the page at / has a link to it.",
        example='"https://grafana.example.org/d/vllmd-fleet"',
    )
    vllm_histograms: bool = key(
        rules.boolean,
        True,
        help="Pass on vLLM's own histograms (vllm:…_bucket) on /metrics. They are most of the "
        "page; vllmd's dashboards and alerts need none, as those of latencies are vllmd_… too.",
        reason="Dashboards that others made for vLLM use them.",
    )
    poll_s: float = key(
        rules.number(0, HOUR_S, above=True),
        5.0,
        help="How often a serving engine's page is read, in seconds.",
        reason="The heartbeat: a reading costs milliseconds, and a stall is found so much later.",
    )


@attrs.frozen
class Config:
    """A whole configuration; `path` is the file it came from, if it came from one.

    `variables` are the environment variables that gave keys of it, by those keys.
    """

    daemon: DaemonConfig = section(DaemonConfig, help="The daemon itself.")
    history: HistoryConfig = section(HistoryConfig, help="The memory of what happened.")
    logs: LogsConfig = section(LogsConfig, help="The engines' output.")
    gpu: GpuConfig = section(GpuConfig, help="The GPUs.")
    traces: TracesConfig = section(TracesConfig, help="Spans, received and passed on.")
    cost: CostConfig = section(CostConfig, help="What GPUs, electricity and tokens cost.")
    notify: NotifyConfig = section(NotifyConfig, help="Where notices are sent.")
    fleet: FleetConfig = section(FleetConfig, help="The hosts that serve the same.")
    engines: Mapping[str, EngineConfig] = section(
        EngineConfig, _EMPTY, many=True, help="One table for each engine: [engines.NAME]."
    )
    path: str | None = None
    variables: Mapping[str, str] = _EMPTY
