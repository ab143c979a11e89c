import json
import re
from html.parser import HTMLParser
from typing import Any

import attrs
import pytest

from tests.helpers.status_scenes import SCENES, Scene, about, ready
from vllmd.http.landing import POLICY, landing_page

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'&<!--"


def page_of(scene: Scene) -> str:
    answer = scene.service().answer()
    return landing_page(answer.shown, answer.body)


class Reader(HTMLParser):
    """Takes a page apart as a browser does."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._in = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        self._in = tag

    def handle_data(self, data: str) -> None:
        self.texts.setdefault(self._in, []).append(data)


def _hostile(value: Any) -> Any:
    """Return a document in which every text is hostile."""
    if isinstance(value, dict):
        return {key: _hostile(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_hostile(each) for each in value]
    return HOSTILE if isinstance(value, str) else value


@pytest.mark.parametrize("scene", SCENES)
def test_page_escapes_hostile_text_in_every_field(scene: str) -> None:
    shown = _hostile(json.loads(SCENES[scene]().service().answer().body))
    page = landing_page(shown, json.dumps(shown).encode())
    read = Reader(page)
    assert [tag for tag, _ in read.tags].count("script") == 2
    assert not [tag for tag, _ in read.tags if tag == "img"]
    assert not [a for _, a in read.tags if any(name.startswith("on") for name in a)]
    first = re.search(r'<script type="application/json" id="first">(.*?)</script>', page, re.S)
    assert first is not None
    assert json.loads(first[1]) == shown


def test_page_is_as_small_as_the_documentation_says() -> None:
    assert len(page_of(SCENES["all-well"]())) < 36_500


def test_page_has_no_asset_of_elsewhere_and_a_policy_that_allows_none() -> None:
    page = page_of(SCENES["all-well"]())
    read = Reader(page)
    loaded = [a.get("src") for _, a in read.tags if a.get("src")]
    loaded += [a["href"] for tag, a in read.tags if tag == "link"]
    assert loaded == ["data:,"]
    assert "url(" not in page
    assert "@import" not in page
    assert "unsafe" not in POLICY
    assert POLICY.startswith("default-src 'none'")
    assert not [a for _, a in read.tags if "style" in a], "the policy allows no style of an element"


def test_page_without_scripts_has_the_engines_as_a_table() -> None:
    page = page_of(SCENES["held"]())
    plain = page.split("<noscript>")[1].split("</noscript>")[0]
    assert (
        '<th scope="row"><a href="/ready/chat">chat</a></th><td>held</td><td>5m 20s</td>' in plain
    )
    assert "The KV cache has no room for one request" in plain
    assert '<a href="/runbooks/VllmdEngineHeld?engine=chat">runbook</a>' in plain
    assert "03:00:00 UTC" in plain


def test_page_without_engines_is_a_page() -> None:
    assert "<table>" in page_of(Scene())
    unknown = Scene([ready("chat", looked_for=False)])
    assert "<td>not known yet</td>" in page_of(unknown)


def test_page_links_to_the_other_pages_and_to_grafana_if_it_is_configured() -> None:
    for grafana in (None, "https://grafana.example.org/d/x?a=1&b=2"):
        scene = attrs.evolve(SCENES["no-gpu"](), grafana=grafana)
        found = {a.get("href") for tag, a in Reader(page_of(scene)).tags if tag == "a"}
        links = {"/metrics", "/status.json", "/-/healthy", "/-/ready", "/runbooks/"}
        assert links <= found
        assert (grafana in found) == (grafana is not None)


def test_page_does_not_show_what_the_port_leaves_out() -> None:
    scene = Scene([ready("chat")], daemon=about(problem="key = hf_S3CRET"))
    assert "hf_S3CRET" not in page_of(scene)
