"""What a stretch of time cost, engine by engine. Pure."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from vllmd.config.cost import ApiPrice
from vllmd.cost.prices import KWH_MJ, Amount, Prices, api_amount, break_even, per_million
from vllmd.cost.usage import SECOND_NS, UNATTRIBUTED, Activity, HourUsage, Usage, total

Slots = Mapping[HourUsage, Usage]


def report(
    slots: Slots, prices: Prices, since: float, until: float, apis: Mapping[str, ApiPrice]
) -> dict[str, Any]:
    """Return the costs of each engine, and what `apis` would have asked for the same tokens.

    `since` and `until` are seconds since the epoch; whole hours count, from the one that `since`
    falls in.
    """
    begin = int(since) // 3600 * 3600
    chosen = {slot: usage for slot, usage in slots.items() if begin <= slot.hour < until}
    names = sorted({slot.engine for slot in chosen} - UNATTRIBUTED.keys())
    return {
        "since": begin,
        "until": until,
        "currency": prices.currency,
        "gpu_hour": _number(prices.gpu_hour),
        "kwh": _number(prices.kwh),
        "overhead": _number(prices.overhead),
        "engines": [_engine(name, chosen, prices, until - begin, apis) for name in names],
        "unattributed": {
            shown: _unattributed(name, chosen, prices) for name, shown in UNATTRIBUTED.items()
        },
    }


def _unattributed(name: str, slots: Slots, prices: Prices) -> dict[str, Any]:
    """Return what of the GPUs was of no engine."""
    usage = total(usage for slot, usage in slots.items() if slot.engine == name)
    return {
        "gpu_hours": usage.gpu_ns / SECOND_NS / 3600,
        "energy_kwh": usage.energy_mj / KWH_MJ,
        "cost": _amount(prices.amount(usage)),
    }


def _engine(
    name: str, slots: Slots, prices: Prices, span_s: float, apis: Mapping[str, ApiPrice]
) -> dict[str, Any]:
    by_activity = {
        activity: total(
            usage
            for slot, usage in slots.items()
            if (slot.engine, slot.activity) == (name, activity)
        )
        for activity in Activity
    }
    usage = total(by_activity.values())
    amount = prices.amount(usage)
    working = prices.amount(by_activity[Activity.BUSY] + by_activity[Activity.UNWATCHED])
    hours = Decimal(usage.duration_ns) / (3600 * SECOND_NS)
    hourly = amount.all / hours if hours else None
    return {
        "engine": name,
        "accounted_s": usage.duration_ns / SECOND_NS,
        "unaccounted_s": max(0.0, span_s - usage.duration_ns / SECOND_NS),
        **_measured(usage),
        "cost": _amount(amount),
        "cost_per_hour": _number(hourly),
        "cost_per_million_tokens": _number(per_million(amount.all, usage.tokens)),
        "cost_per_million_tokens_without_idle": _number(per_million(working.all, usage.tokens)),
        "cost_per_million_generation_tokens": _number(
            per_million(amount.all, usage.generation_tokens)
        ),
        "tokens_per_hour": _number(usage.tokens / hours if hours else None),
        "joules_per_token": usage.energy_mj / 1000 / usage.tokens if usage.tokens else None,
        "asleep": {
            "duration_s": usage.asleep_ns / SECOND_NS,
            "gpu_hours_freed": usage.freed_gpu_ns / SECOND_NS / 3600,
            "saved": _number(prices.amount(Usage(gpu_ns=usage.freed_gpu_ns)).gpu),
        },
        "activities": {
            str(activity): {**_measured(each), "cost": _amount(prices.amount(each))}
            for activity, each in by_activity.items()
        },
        "compare": [
            {
                "api": api,
                "would_have_cost": _number(api_amount(usage, price)),
                "break_even_tokens_per_hour": _number(
                    break_even(hourly, usage, price) if hourly is not None else None
                ),
            }
            for api, price in apis.items()
        ],
    }


def _measured(usage: Usage) -> dict[str, Any]:
    return {
        "duration_s": usage.duration_ns / SECOND_NS,
        "gpu_hours": usage.gpu_ns / SECOND_NS / 3600,
        "energy_kwh": usage.energy_mj / KWH_MJ,
        "prompt_tokens": usage.prompt_tokens,
        "cached_tokens": usage.cached_tokens,
        "generation_tokens": usage.generation_tokens,
        "requests": usage.requests,
    }


def _amount(amount: Amount) -> dict[str, float | None]:
    return {
        "gpu": _number(amount.gpu),
        "energy": _number(amount.energy),
        "all": _number(amount.all),
    }


def _number(value: Decimal | float | None) -> float | None:
    return None if value is None else float(value)
