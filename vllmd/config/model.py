"""The configuration as the rest of the program sees it: typed, frozen, complete."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import attrs

from vllmd.config import rules
from vllmd.config.flags import env_table, flag_table, lora_modules
from vllmd.config.rules import key, section
from vllmd.units import DAY_S, HOUR_S, MINUTE_S

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
class Lora:
    """LoRA adapters that an engine serves beside its base model."""

    max_loras: int = key(
        rules.integer(1, 1024), 1, help="Adapters that one batch may mix (--max-loras)."
    )
    max_lora_rank: int = key(
        rules.either(
            "one of 1, 8, 16, 32, 64, 128, 256, 320, 512 (what vLLM has kernels for)",
            lambda v: _choice(v, (1, 8, 16, 32, 64, 128, 256, 320, 512)),
        ),
        16,
        help="Highest rank of any adapter (--max-lora-rank). One above it makes the start fail "
        "after the whole model was loaded.",
    )
    modules: Mapping[str, str] = key(
        lora_modules,
        _EMPTY,
        help="Adapters by the name that requests give as `model`, and their folders.",
        example='{ sql = "/srv/lora/sql" }',
    )


def _choice(value: Any, choices: tuple[int, ...]) -> int:
    if isinstance(value, bool) or value not in choices:
        raise rules.RuleError("")
    return int(value)


@attrs.frozen
class Restart:
    """How long to wait before an engine that ended unasked is started again."""

    initial_s: float = key(
        rules.number(0, HOUR_S, above=True),
        1.0,
        help="Pause before the first new start, in seconds; it doubles with every failure.",
    )
    max_s: float = key(
        rules.number(0, DAY_S, above=True),
        5.0 * MINUTE_S,
        help="Longest pause, in seconds.",
    )
    reset_after_s: float = key(
        rules.number(0, DAY_S),
        10.0 * MINUTE_S,
        help="An engine that was ready for so long begins again with the first pause, in seconds.",
    )


@attrs.frozen
class Engine:
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
        rules.one_or_more_texts,
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
    stop_grace_s: float = key(
        rules.number(0, HOUR_S),
        30.0,
        help="How long a stop waits for the engine to end by itself, in seconds.",
    )
    lora: Lora | None = section(Lora, None, help="LoRA adapters; the table enables them.")
    restart: Restart = section(Restart, help="The pause before a new start.")
    flags: Mapping[str, Any] = key(
        flag_table,
        _EMPTY,
        help="Every other flag of `vllm serve`, by its name without the dashes. true gives "
        "--name, false --no-name, a list several values, a table JSON.",
        example="{ enforce-eager = true }",
    )
    env: Mapping[str, str] = key(
        env_table,
        _EMPTY,
        help="Environment variables of the engine. What looks like a secret is masked wherever "
        "it is shown.",
        example='{ HF_HOME = "/srv/huggingface" }',
    )

    @property
    def url(self) -> str:
        """The base URL at which this host reaches the engine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def is_stand_in(self) -> bool:
        """Whether this is the embedded stand-in and not vLLM."""
        return self.executable == (STAND_IN,)


def _listen(value: Any) -> tuple[str, int]:
    expects = 'an address with a port, such as "0.0.0.0:9840" or "[::]:9840"'
    host, colon, port = rules.matching(r"(\[[0-9a-fA-F:.]+\]|[^:\[\]]*):\d+", expects)(
        value
    ).rpartition(":")
    if not colon or not 0 < int(port) <= 65535:
        raise rules.RuleError(expects)
    return host.strip("[]") or "0.0.0.0", int(port)


@attrs.frozen
class Daemon:
    """The daemon itself; a folder that is not given is found as `vllmd.config.paths` says."""

    listen: tuple[str, int] = key(
        _listen,
        ("0.0.0.0", 9840),
        help="Address and port of /metrics and the readiness checks.",
        example='"0.0.0.0:9840"',
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
    poll_s: float = key(
        rules.number(0, HOUR_S, above=True),
        5.0,
        help="How often a serving engine's page is read, in seconds.",
    )


@attrs.frozen
class Config:
    """A whole configuration; `path` is the file it came from, if it came from one."""

    daemon: Daemon = section(Daemon, help="The daemon itself.")
    engines: Mapping[str, Engine] = section(
        Engine, _EMPTY, many=True, help="One table for each engine: [engines.NAME]."
    )
    path: str | None = None
