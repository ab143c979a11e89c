"""What serving cost, of a whole vllmd with a GPU of the demonstration."""

import json
import time
from pathlib import Path
from typing import Any

from tests.helpers.site import Site, wait_for
from tests.integration.conftest import COST, serving


def of_chat(site: Site, *more: str) -> dict[str, Any]:
    shown = json.loads(site.vllmd("cost", "--json", *more).stdout)
    return next((dict(each) for each in shown["engines"] if each["engine"] == "chat"), {})


def test_tokens_and_money_are_counted_over_a_kill_of_the_daemon(tmp_path: Path) -> None:
    with serving(tmp_path, more=COST) as made:
        began = time.time()
        for _ in range(3):
            made.chat("tiny", text="a b c d", tokens=10)
        wait_for("the tokens", lambda: of_chat(made).get("generation_tokens") == 30)
        assert of_chat(made)["prompt_tokens"] == 12
        made.kill_daemon()
        made.chat("sql", text="a b", tokens=5)
        made.start()
        made.wait_state("chat", "ready")
        wait_for("what came meanwhile", lambda: of_chat(made)["generation_tokens"] == 35)
        chat = of_chat(made, "--compare", "gpt-4o")
        assert (chat["prompt_tokens"], chat["requests"]) == (14, 4)
        assert chat["activities"]["unwatched"]["duration_s"] > 0
        lasted = time.time() - began
        assert lasted - 3 < chat["accounted_s"] < lasted + 60
        assert abs(chat["cost"]["gpu"] - chat["gpu_hours"] * 2.5) < 1e-9
        assert chat["cost"]["gpu"] > 0.0005
        assert chat["compare"][0]["api"] == "gpt-4o"
        assert made.samples("vllmd_cost_per_hour")["USD", "gpu", "chat"] == 2.5
        assert made.samples("vllmd_cost_budget_per_million_tokens") == {("USD",): 2}
        assert sum(made.samples("vllmd_cost_total").values()) > 0
        assert "chat: 14 tokens in" in made.vllmd("cost").stdout
