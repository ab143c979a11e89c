import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.helpers.control import FakeCosts, FakeEngine, control_socket
from tests.helpers.make import config
from vllmd.cli.cost import command
from vllmd.cost.api_prices import find
from vllmd.cost.prices import Prices
from vllmd.cost.report import report
from vllmd.cost.usage import NOBODY, SECOND_NS, Activity, HourUsage, Usage
from vllmd.errors import UnknownEngineError

HOUR = 1_000_000 * 3600
SLOTS = {
    HourUsage(HOUR, "chat", Activity.BUSY): Usage(
        1800 * SECOND_NS, 3600 * SECOND_NS, 1_800_000_000, 3_000_000, 1_000_000, 1_000_000, 20
    ),
    HourUsage(HOUR, "chat", Activity.IDLE): Usage(600 * SECOND_NS, 1200 * SECOND_NS),
    HourUsage(HOUR, "code", Activity.DOWN): Usage(60 * SECOND_NS),
    HourUsage(HOUR, NOBODY, Activity.IDLE): Usage(0, 7200 * SECOND_NS, 360_000_000),
}


def shown(text: str = "gpu_hour = 2.5", apis: tuple[str, ...] = ()) -> dict[str, Any]:
    prices = Prices.of(config(f"[cost]\n{text}").cost)
    made = report(SLOTS, prices, HOUR, HOUR + 3600, dict(find(apis, {})))
    return {**made, "prices_known": prices.known, "cost_per_hour_now": {"chat": 5.0, "code": 0.0}}


@pytest.fixture
def ask(tmp_path: Path) -> Any:
    def run(given: dict[str, Any], *args: str) -> Result:
        costs = FakeCosts(given)
        with control_socket(tmp_path / "c.sock", FakeEngine(), costs=costs) as path:
            return CliRunner().invoke(command, [*args, "--socket", str(path)])

    return run


def test_cost_shows_time_energy_tokens_and_money(ask: Any) -> None:
    text = ask(shown(apis=("gpt-4o-mini",)), "--compare", "gpt-4o-mini").output
    assert "chat    busy  30m   1.00       0.500 kWh  2.50 USD" in text
    assert "chat    idle  10m   0.33       0.000 kWh  0.8333 USD" in text
    assert "chat: 3,000,000 tokens in, 33% of them cached; 1,000,000 out; 20 requests" in text
    assert "cost          3.33 USD" in text
    assert "an hour now   5.00 USD" in text
    assert "1M tokens     0.8333 USD, idle time included; 0.6250 USD while it worked" in text
    assert "a token       0.45 J" in text
    assert "not counted   20m" in text
    assert "gpt-4o-mini would have cost 0.9750 USD" in text
    assert "as much at 20,512,821 tokens an hour in this mix; there were 6,000,000" in text
    assert "code: 0 tokens in; 0 out; 0 requests" in text
    assert "no engine used the GPUs for 2.00 GPU hours, 0.100 kWh, 5.00 USD" in text
    assert "processes that are not of an engine" not in text


def test_cost_without_prices_says_how_to_set_them(ask: Any) -> None:
    text = ask(shown("")).output
    assert "no prices are configured: set gpu_hour or kwh in [cost]" in text
    assert "USD" not in text.replace("[cost]", "")


def test_cost_of_one_engine_as_json(ask: Any) -> None:
    given = shown()
    printed = json.loads(ask(given, "chat", "--json").output)
    assert [each["engine"] for each in printed["engines"]] == ["chat"]
    assert printed["unattributed"] == {}
    assert isinstance(ask(given, "nope").exception, UnknownEngineError)
    assert "no usage of 'nope' in that time; there is: chat, code" in str(
        ask(given, "nope").exception
    )


def test_cost_of_nothing_says_so(ask: Any) -> None:
    assert "nothing was used in that time" in ask({**shown(), "engines": []}).output
