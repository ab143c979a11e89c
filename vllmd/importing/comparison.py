"""Then and now: the command that ran, the one that will run, and why they differ. Pure.

Both are read from what would be executed, and not from how the one was made of the other: a
difference that nobody gave a reason for is found, and said.
"""

import json
import shlex
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from vllmd.config import lora
from vllmd.config.command import Command
from vllmd.config.flags import ENDPOINT, masked_arguments
from vllmd.importing.arguments import GivenFlag, flags_of
from vllmd.importing.launch import Launch
from vllmd.importing.placing import DEFAULT_PORT
from vllmd.importing.serving import OF_PATH
from vllmd.importing.table import EngineTable
from vllmd.importing.unknown import as_written
from vllmd.util.redact import MASK, masked

_OF_VLLMD: Mapping[str, str] = {
    "--shutdown-timeout": "drain_s: requests in flight are finished when the engine is stopped",
    "--max-loras": "vLLM's own default, written out",
    "--max-lora-rank": "vLLM's own default, written out",
    f"--{ENDPOINT}": "spans go to vllmd; traces = false turns that off",
    "--lora-modules": "vllmd loads the adapters once the engine serves",
    "PROMETHEUS_DISABLE_CREATED_SERIES": "a third of vLLM's metrics is left out: nobody reads it",
    "PYTHONUNBUFFERED": "no line waits in a buffer when the engine dies",
    lora.RUNTIME_UPDATING: "adapters are loaded and unloaded while the engine serves",
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "how spans are sent to vllmd",
    "OTEL_SERVICE_NAME": "under which name spans are sent",
    "OTEL_TRACES_SAMPLER": "all requests have a span",
    "OTEL_BSP_SCHEDULE_DELAY": "how often spans are sent",
    "OTEL_RESOURCE_ATTRIBUTES": "spans say which engine they are of",
}


@attrs.frozen
class Difference:
    """One thing that is not as it was."""

    name: str
    """A flag with its dashes, a variable, or ``executable``."""
    then: str | None
    now: str | None
    reason: str | None
    """None: nobody gave one, so that it is a mistake of vllmd's."""
    common: bool = False
    """It is so for every engine that vllmd runs."""


@attrs.frozen
class Comparison:
    """Both commands of one engine."""

    engine: str
    source: str
    then: str
    now: str
    differences: tuple[Difference, ...]

    def without(self, hidden: Callable[[str], str]) -> "Comparison":
        """Return the same with each text as `hidden` leaves it."""
        differences = [
            attrs.evolve(
                each, then=each.then and hidden(each.then), now=each.now and hidden(each.now)
            )
            for each in self.differences
        ]
        then, now = hidden(self.then), hidden(self.now)
        return attrs.evolve(self, then=then, now=now, differences=tuple(differences))

    @property
    def unexplained(self) -> tuple[Difference, ...]:
        """The differences without a reason."""
        return tuple(each for each in self.differences if each.reason is None)


def compare(name: str, launch: Launch, table: EngineTable, command: Command) -> Comparison:
    """Compare what a launcher runs with what vllmd would."""
    leading = _leading(command)
    reasons = {**_OF_VLLMD, **table.reasons}
    differing = [
        *_program(launch, command.argv[:leading]),
        *_flags(launch, command.argv[leading + 1 :], reasons),
        *_variables(launch, command, reasons),
    ]
    found = [
        attrs.evolve(each, common=each.then is None and each.reason == _OF_VLLMD.get(each.name, ""))
        for each in differing
    ]
    ran = launch.ran or (*launch.program, "serve", *launch.arguments)
    then = shlex.join(masked_arguments([as_written(each) for each in ran]))
    now = shlex.join(command.masked_argv())
    return Comparison(name, str(launch.place), then, now, tuple(found))


def _leading(command: Command) -> int:
    """Return how many words the program has: all before `serve`."""
    return command.argv.index("serve")


def _program(launch: Launch, now: tuple[str, ...]) -> Iterator[Difference]:
    if launch.container is not None:
        reason = f"vLLM of the image {launch.container.image}; here it is the one of 'vllmd engine'"
        yield Difference("executable", launch.container.image, shlex.join(now), reason)
    elif launch.program == ("vllm",):
        yield Difference("executable", "vllm", shlex.join(now), OF_PATH)
    elif launch.program != now:
        yield Difference("executable", shlex.join(launch.program), shlex.join(now), None)


def values_of(arguments: tuple[str, ...]) -> dict[str, Any]:
    """Return flags by name with what they say, so that two ways to say the same are equal.

    Of a flag that is given twice the last counts, also of one that takes a table.
    """
    found: dict[str, Any] = {"port": DEFAULT_PORT}
    for each in flags_of(arguments):
        found[each.name] = _canonical(each)
    if "lora-modules" in found:
        found["lora-modules"] = _modules(found["lora-modules"])
    return found


def _canonical(given: GivenFlag) -> Any:
    value = given.value
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _modules(values: list[str]) -> dict[str, str]:
    found = {}
    for text in values:
        if text.startswith("{"):
            try:
                made = json.loads(text)
                found[str(made["name"])] = str(made["path"])
            except (ValueError, KeyError, TypeError, RecursionError):
                found[text] = text
        else:
            name, _, path = text.partition("=")
            found[name] = path
    return found


def _flags(
    launch: Launch, now: tuple[str, ...], reasons: Mapping[str, str]
) -> Iterator[Difference]:
    before, after = values_of(launch.arguments), values_of(now)
    before.pop("", None)
    for name in dict.fromkeys((*before, *after)):
        if name in before and name in after and before[name] == after[name]:
            continue
        flag = f"--{name}"
        yield Difference(
            flag, _shown(name, before, flag), _shown(name, after, flag), reasons.get(flag)
        )


def _shown(name: str, values: Mapping[str, Any], flag: str) -> str | None:
    if name not in values:
        return None
    value = masked(flag, values[name])
    if value is True:
        return flag
    if value is False:
        return f"--no-{name}"
    text = json.dumps(value) if isinstance(value, dict | list) else str(value)
    return f"{flag} {as_written(text)}"


def _variables(
    launch: Launch, command: Command, reasons: Mapping[str, str]
) -> Iterator[Difference]:
    before, after = dict(launch.variables), command.own_env
    for name in dict.fromkeys((*before, *after)):
        if before.get(name) == after.get(name):
            continue
        shown = MASK if name in launch.secret else masked(name, as_written(before.get(name, "")))
        then = None if name not in before else f"{name}={shown}"
        now = None if name not in after else f"{name}={masked(name, after[name])}"
        yield Difference(name, then, now, reasons.get(name))
