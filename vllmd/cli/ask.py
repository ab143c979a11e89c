"""`vllmd ask`: a question to an engine, as a smoke test."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import click

from vllmd.cli import terminal
from vllmd.cli.asking import AskError, EngineApi, TimedAnswer
from vllmd.cli.options import complete_engine, complete_model, json_option, socket_option
from vllmd.cli.table import format_table, join
from vllmd.config import credentials
from vllmd.control.client import ControlClient
from vllmd.engine.state_machine import State
from vllmd.engine.status_text import describe_state
from vllmd.errors import HeldError, TimedOutError, UnknownEngineError, VllmdError
from vllmd.util.terminal_text import full_stop

DEFAULT_PROMPT = "Say hello in one sentence."
ON_ITS_WAY = frozenset(
    {State.STARTING, State.LOADING, State.BACKOFF, State.UNREACHABLE, State.STALLED}
)

Keys = Callable[[str], str | None]
"""The API key of an engine, by its name."""


@click.command()
@click.argument("prompt", required=False)
@click.option(
    "-m",
    "--model",
    shell_complete=complete_model,
    help="The base model or an adapter; the base model by default.",
)
@click.option("-e", "--engine", shell_complete=complete_engine, help="Only this engine.")
@click.option("-a", "--all", "every", is_flag=True, help="The base model and every adapter.")
@click.option(
    "--stream/--no-stream", default=None, help="Print each piece as it comes (on a terminal)."
)
@click.option("--max-tokens", type=click.IntRange(1), help="128 by default; 16 with --all.")
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    default=60.0,
    show_default=True,
    help="How long to wait for each piece, in seconds.",
)
@click.option(
    "--api-key-file",
    type=click.Path(path_type=Path),
    help="Else VLLM_API_KEY is used, else the host's credentials where you may read them.",
)
@socket_option
@json_option
def command(
    client: ControlClient,
    prompt: str | None,
    model: str | None,
    engine: str | None,
    every: bool,
    stream: bool | None,
    max_tokens: int | None,
    timeout: float,
    api_key_file: Path | None,
    as_json: bool,
) -> None:
    """Send a prompt to an engine, and show the latency.

    PROMPT is read from the standard input where it is '-'. The answer goes to the standard output,
    the figures to the standard error. Exits 0 if every answer came; 75 if an engine is on its way,
    65 if it is held, 66 if nobody serves the model, 1 otherwise.
    """
    if every and model:
        raise click.UsageError("--all asks every model: leave out --model")
    text = sys.stdin.read() if prompt == "-" else prompt or DEFAULT_PROMPT
    engines = _chosen(client.status()["engines"], engine)
    keys = api_keys(api_key_file)
    if every:
        _ask_all(engines, keys, text, max_tokens or 16, timeout, as_json)
        return
    found, name = _find(engines, model, keys, timeout)
    show = not as_json and (sys.stdout.isatty() if stream is None else stream)
    api = EngineApi(found["url"], keys(found["name"]), timeout)
    answer = api.ask(name, text, max_tokens or 128, _print if show else lambda _: None)
    if as_json:
        terminal.echo_json(_to_json(found["name"], name, answer, None), indent=2)
        return
    terminal.echo_text("" if show else answer.text)
    terminal.echo(f"{name}: {_figures(answer)}", err=True)


def _chosen(engines: Sequence[dict[str, Any]], name: str | None) -> list[dict[str, Any]]:
    chosen = [each for each in engines if name in (None, each["name"])]
    if not chosen:
        if name is None:
            raise VllmdError("no engine is configured; 'vllmd init' writes a first one")
        raise UnknownEngineError.among(name, [each["name"] for each in engines])
    return chosen


def _find(
    engines: Sequence[dict[str, Any]], model: str | None, keys: Keys, timeout_s: float
) -> tuple[dict[str, Any], str]:
    """Return the engine that serves a model, and the name to ask for."""
    if model is None:
        if len(engines) > 1:
            names = ", ".join(each["name"] for each in engines)
            raise click.UsageError(f"there are several engines ({names}): give --engine or --model")
        _refuse_unready(engines[0])
        return engines[0], engines[0]["served_names"][0]
    for each in engines:
        if model in each["served_names"]:
            _refuse_unready(each)
            return each, model
    served: list[str] = []
    for each in engines:
        if len(engines) == 1:
            _refuse_unready(each)
        if each["state"] == State.READY:
            listed = EngineApi(each["url"], keys(each["name"]), timeout_s).models()
            if model in listed:
                return each, model
            served += listed
    raise UnknownEngineError(f"no engine serves {model!r}; there is: {', '.join(served) or 'none'}")


def _ask_all(
    engines: Sequence[dict[str, Any]],
    keys: Keys,
    prompt: str,
    max_tokens: int,
    timeout_s: float,
    as_json: bool,
) -> None:
    results = [
        result
        for each in engines
        for result in _ask_each(each, keys, prompt, max_tokens, timeout_s)
    ]
    if as_json:
        listed = [
            _to_json(engine, model and model.partition(", ")[0], answer, error)
            for engine, model, answer, error in results
        ]
        terminal.echo_json(listed, indent=2)
    else:
        rows = [
            [engine, model or "-", _figures(answer) if answer else f"FAILED: {error}"]
            for engine, model, answer, error in results
        ]
        for cells in format_table(["ENGINE", "MODEL", "ANSWER"], rows):
            for line in terminal.wrap(join(cells), rest="    "):
                terminal.echo(line)
    if any(error is not None for *_, error in results):
        sys.exit(VllmdError.exit_code)


_Result = tuple[str, str | None, TimedAnswer | None, str | None]


def _ask_each(
    engine: dict[str, Any], keys: Keys, prompt: str, max_tokens: int, timeout_s: float
) -> Iterator[_Result]:
    """Ask all models of an engine; one that fails does not keep the others from being asked."""
    api = EngineApi(engine["url"], keys(engine["name"]), timeout_s)
    try:
        _refuse_unready(engine)
        models = api.named_models()
    except VllmdError as error:
        yield engine["name"], None, None, str(error)
        return
    for names in models:
        shown = ", ".join(names)
        try:
            yield engine["name"], shown, api.ask(names[0], prompt, max_tokens, lambda _: None), None
        except AskError as error:
            yield engine["name"], shown, None, str(error)


def _refuse_unready(engine: dict[str, Any]) -> None:
    """Say what an engine does that does not serve, and what to do."""
    name, state = engine["name"], engine["state"]
    if state in (State.READY, State.DRAINING):
        return
    if state == State.HELD:
        reason = full_stop(engine["hold"]["reason"])
        raise HeldError(f"{name} is held: {reason} 'vllmd why {name}' says more")
    said = f"{name} is {describe_state(engine)}"
    if state in ON_ITS_WAY:
        raise TimedOutError(f"{said}; 'vllmd start {name} --wait' waits until it serves")
    raise VllmdError(f"{said}; 'vllmd start {name} --wait' starts it")


def api_keys(path: Path | None) -> Keys:
    """Return how the key of an engine is found, by its name."""
    if path is None and (one := os.environ.get("VLLM_API_KEY")):
        return lambda _: one
    if path is None:
        found = credentials.read()
        return lambda engine: found.values.get(found.name_for("api_key", engine))
    try:
        key = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise VllmdError(f"--api-key-file: {error}") from None
    return lambda _: key


def _print(piece: str) -> None:
    terminal.echo_text(piece, nl=False)


def _figures(answer: TimedAnswer) -> str:
    rate = answer.tokens_per_second
    speed = "" if rate is None else f", then {rate:.1f} tokens/s"
    first = answer.time_to_first_token_s * 1000
    return f"first token after {first:.0f} ms{speed}, {answer.completion_tokens} tokens"


def _to_json(
    engine: str, model: str | None, answer: TimedAnswer | None, error: str | None
) -> dict[str, Any]:
    told = attrs.asdict(answer) if answer else {"model": model}
    rate = answer.tokens_per_second if answer else None
    return {"engine": engine, **told, "tokens_per_second": rate, "error": error}
