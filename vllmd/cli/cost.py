"""`vllmd cost`: what serving cost, and what an API would have asked."""

import time
from collections.abc import Iterator
from typing import Any

import click

from vllmd.cli import terminal
from vllmd.cli.moment import MomentType
from vllmd.cli.options import complete_engine, json_option, socket_option
from vllmd.cli.table import format_table, join
from vllmd.control.client import ControlClient
from vllmd.errors import UnknownEngineError
from vllmd.util.units import format_duration

HEADER = ["ENGINE", "DID", "TIME", "GPU HOURS", "ENERGY", "COST"]


def _complete_api(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Name the APIs whose public price is known."""
    from vllmd.cost.api_prices import KNOWN

    return [name for name in KNOWN if name.startswith(incomplete)]


@click.command()
@click.argument("engine", required=False, shell_complete=complete_engine)
@click.option(
    "--since",
    type=MomentType(),
    default="24h",
    show_default=True,
    help="Only from then on: 2h, yesterday, or a date.",
)
@click.option("--until", type=MomentType(), default=None, help="Only until then.")
@click.option(
    "--compare",
    multiple=True,
    metavar="API",
    shell_complete=_complete_api,
    help="Compare with the price of this API for the same tokens; repeatable.",
)
@socket_option
@json_option
def command(
    client: ControlClient,
    engine: str | None,
    since: float,
    until: float | None,
    compare: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show the cost of serving: GPU time, energy and tokens, with idle time and without.

    Usage is kept by the hour: whole hours count, from the one in which --since falls. Prices are
    those of [cost] now. An API's price is that of [cost.api], or its public one as vllmd knows it.
    """
    now = time.time()
    shown = client.cost(since, now if until is None else until, compare)
    if engine is not None:
        names = [each["engine"] for each in shown["engines"]]
        if engine not in names:
            there = ", ".join(names) or "none"
            raise UnknownEngineError(f"no usage of {engine!r} in that time; there is: {there}")
        shown["engines"] = [each for each in shown["engines"] if each["engine"] == engine]
        shown["unattributed"] = {}
    if as_json:
        terminal.echo_json(shown, indent=2)
        return
    for line in lines(shown):
        terminal.echo(line)


def lines(shown: dict[str, Any]) -> Iterator[str]:
    """Write a report for people."""
    if not shown["engines"]:
        yield "nothing was used in that time"
        return
    if not shown["prices_known"]:
        yield "no prices are configured: set gpu_hour or kwh in [cost] (vllmd reload is enough)"
    rows = [
        [each["engine"], activity, *_used(did, shown)]
        for each in shown["engines"]
        for activity, did in each["activities"].items()
        if did["duration_s"]
    ]
    for cells in format_table(HEADER, rows):
        yield join(cells)
    for each in shown["engines"]:
        yield ""
        yield from _engine(each, shown)
    yield from _unattributed(shown)


def _used(did: dict[str, Any], shown: dict[str, Any]) -> list[str]:
    cost = _money(did["cost"]["all"], shown) if shown["prices_known"] else "-"
    return [
        format_duration(did["duration_s"]),
        f"{did['gpu_hours']:.2f}",
        f"{did['energy_kwh']:.3f} kWh",
        cost,
    ]


def _engine(each: dict[str, Any], shown: dict[str, Any]) -> Iterator[str]:
    name, prompt, generated = each["engine"], each["prompt_tokens"], each["generation_tokens"]
    tokens = prompt + generated
    cached = f", {each['cached_tokens'] / prompt:.0%} of them cached" if prompt else ""
    yield f"{name}: {prompt:,} tokens in{cached}; {generated:,} out; {each['requests']:,} requests"
    if shown["prices_known"]:
        yield f"  cost          {_money(each['cost']['all'], shown)}"
        now = shown["cost_per_hour_now"].get(name)
        if now is not None:
            yield f"  an hour now   {_money(now, shown)}"
        if tokens:
            with_idle = _money(each["cost_per_million_tokens"], shown)
            without = _money(each["cost_per_million_tokens_without_idle"], shown)
            yield f"  1M tokens     {with_idle}, idle time included; {without} while it worked"
    asleep = each.get("asleep")  # not of an older daemon
    if asleep and asleep["duration_s"] >= 1:
        worth = f", worth {_money(asleep['saved'], shown)}" if shown["gpu_hour"] else ""
        yield (
            f"  asleep        {format_duration(asleep['duration_s'])}, in which it gave back "
            f"{asleep['gpu_hours_freed']:.2f} GPU hours{worth}"
        )
    if each["joules_per_token"]:
        yield f"  a token       {each['joules_per_token']:.3g} J"
    if each["unaccounted_s"] >= 1:
        yield (
            f"  not counted   {format_duration(each['unaccounted_s'])}, in which no vllmd ran, or "
            "the engine was not configured"
        )
    for api in each["compare"]:
        yield f"  {api['api']} would have cost {_money(api['would_have_cost'], shown)}"
        if api["break_even_tokens_per_hour"] and shown["prices_known"]:
            yield (
                f"    as much at {api['break_even_tokens_per_hour']:,.0f} tokens an hour in this "
                f"mix; there were {each['tokens_per_hour']:,.0f}"
            )


def _unattributed(shown: dict[str, Any]) -> Iterator[str]:
    said = {
        "nobody": "no engine used the GPUs for",
        "others": "processes that are not of an engine had",
    }
    for user, text in said.items():
        used = shown.get("unattributed", {}).get(user)
        if used and (used["gpu_hours"] >= 0.005 or used["energy_kwh"] >= 0.0005):
            cost = f", {_money(used['cost']['all'], shown)}" if shown["prices_known"] else ""
            yield ""
            yield f"{text} {used['gpu_hours']:.2f} GPU hours, {used['energy_kwh']:.3f} kWh{cost}"


def _money(amount: float, shown: dict[str, Any]) -> str:
    digits = 2 if amount >= 1 or amount == 0 else 4
    return f"{amount:,.{digits}f} {shown['currency']}"
