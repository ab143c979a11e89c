"""What engines have shown, of a whole vllmd: seen on pages, kept, and judged."""

import json
from pathlib import Path
from typing import Any

from tests.helpers.site import Site, wait_for
from tests.integration.conftest import serving


def of_chat(site: Site) -> dict[str, Any]:
    (shown,) = json.loads(site.vllmd("advise", "chat", "--json").stdout)["engines"]
    return dict(shown)


def test_what_pages_show_is_seen_and_too_little_says_nothing(tmp_path: Path) -> None:
    with serving(tmp_path) as made:
        for _ in range(3):
            made.chat("tiny", text="a b c d", tokens=10)
        wait_for("three requests", lambda: of_chat(made)["requests"] == 3)
        seen = of_chat(made)
        assert seen["observed"]["histograms"]["prompt"]
        assert (seen["enough"], seen["advice"]) == (False, [])
        assert "too little to say anything" in made.vllmd("advise", "chat").stdout
        done = made.vllmd("advise", "gone")
        assert done.returncode != 0
        assert "chat" in done.stderr
