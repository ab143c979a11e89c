"""The page at / in a real browser: nine scenes, wide and narrow, light and dark.

The pictures are in `build/page`, for a person to look at.
"""

from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from tests.helpers.axe import violations
from tests.helpers.browser import Browser, Tab
from tests.helpers.make import gpu_figures
from tests.helpers.status_scenes import (
    SCENES,
    Scene,
    about,
    all_well,
    backoff,
    hang,
    held,
    no_gpu,
    ready,
)
from tests.page.conftest import Served
from vllmd.engine.doubts import Doubt

Serve = Callable[[Scene], Served]
VIEWS = [(1280, 900, False), (1280, 900, True), (390, 844, True), (390, 844, False)]
ASK = "document.dispatchEvent(new Event('visibilitychange')); true"
"""What the page does when somebody comes back to it: it asks at once."""
TEXT = "document.getElementById({!r}).textContent"


def opened(browser: Browser, url: str) -> Tab:
    tab = Tab(browser)
    tab.look(1280, 900)
    tab.open(url)
    tab.wait_for("document.querySelector('.verdict') !== null && 'series' in shown")
    return tab


@pytest.mark.parametrize("name", SCENES)
def test_page_of_each_scene_is_drawn_without_a_complaint(
    browser: Browser, serve: Serve, pictures: Path, axe: str, name: str
) -> None:
    tab = opened(browser, serve(SCENES[name]()).url)
    for width, height, dark in VIEWS:
        tab.look(width, height, dark=dark)
        assert violations(tab, axe) == []
        assert tab.value("document.documentElement.scrollWidth <= innerWidth"), f"{width} px"
        tab.screenshot(pictures / f"{name}-{width}-{'dark' if dark else 'light'}.png")
    assert tab.problems() == []
    tab.close()


NAMES = ("constructor", "__proto__", "toString", "hasOwnProperty", "valueOf", "then", "length")


@pytest.mark.parametrize("busy", [True, False])
def test_engines_may_have_names_that_objects_have_too(
    browser: Browser, serve: Serve, *, busy: bool
) -> None:
    engines = [ready(name) for name in NAMES]
    scene = Scene(engines, no_gpu().gpus, busy=dict.fromkeys(NAMES, 20.0) if busy else {})
    tab = opened(browser, serve(scene).url)
    names = "Array.from(document.querySelectorAll('.graphs h3'), each => each.textContent)"
    assert tab.value(names) == list(NAMES)
    drawn = "document.querySelectorAll('.graphs path.tokens_per_s').length"
    assert tab.value(drawn) == (len(NAMES) if busy else 0)
    assert not tab.value("undrawn")
    assert tab.problems() == []
    tab.close()


def test_checks_find_what_is_wrong(browser: Browser, serve: Serve, axe: str) -> None:
    """Each of these must be found, or the test above says nothing."""
    tab = opened(browser, serve(no_gpu()).url)
    pale = "main.style.color = '#ccc'; main.style.background = '#fff'; true"
    tab.value(f"const main = document.getElementById('main'); {pale}")
    assert [each for each in violations(tab, axe) if each.startswith("color-contrast")]
    tab.value("document.body.insertAdjacentHTML('beforeend', '<p style=\"color:red\">x</p>'); true")
    script = "const s = document.createElement('script'); s.textContent = 'window.ran = 1'"
    tab.value(f"{script}; document.body.append(s); true")
    tab.value("fetch('http://127.0.0.1:9/').catch(() => true)")
    assert tab.value("window.ran === undefined"), "the policy lets no other script run"
    for directive in ("style-src", "script-src", "connect-src"):
        tab.wait_for_problem(directive)
    tab.close()


def test_page_shows_hostile_text_as_text(browser: Browser, serve: Serve) -> None:
    hostile = "</script><img src=x onerror='window.ran = 1'><script>window.ran = 1</script>"
    engine = ready(hostile, model=hostile, problem=hostile, command_changed=True)
    listed = [{"name": hostile, "source": "file", "condition": "failed"}]
    adapters = [{"engine": hostile, "adapters": listed}]
    doubts = {hostile: [Doubt(hostile, "error", hostile, hostile, (hostile,))]}
    (failed,) = held().engines
    (device,) = held().gpus.devices
    gpus = gpu_figures(attrs.evolve(device, lost=hostile))
    scene = Scene([engine, failed], gpus, adapters=adapters, doubts=doubts)
    tab = opened(browser, serve(scene).url)
    assert tab.value("document.querySelectorAll('img').length") == 0
    assert tab.value("document.querySelectorAll('script').length") == 2
    assert tab.value("window.ran === undefined")
    assert hostile in tab.value("document.querySelector('tr.engine').textContent")
    assert hostile in tab.value("document.querySelector('.gpus').textContent")
    assert tab.problems() == []
    tab.close()


def test_page_shows_what_changed_and_says_it(browser: Browser, serve: Serve) -> None:
    scene = all_well()
    tab = opened(browser, serve(scene).url)
    assert tab.value("document.querySelector('.verdict').textContent") == "Both engines serve"
    assert tab.value(TEXT.format("news")) == ""
    scene.engines = [*held().engines, ready("embed")]
    scene.clock.now += 2
    tab.value(ASK)
    tab.wait_for("document.querySelector('.verdict').textContent === 'chat does not serve'")
    assert tab.value(TEXT.format("news")).startswith("chat is held. chat is held: The KV cache")
    assert tab.value("document.title").startswith("(1) ")
    scene.clock.now += 2
    tab.value("window.seen = performance.getEntriesByType('resource').length; true")
    tab.value(ASK)
    tab.wait_for("performance.getEntriesByType('resource').length > window.seen")
    assert tab.value("document.querySelectorAll('tr.engine').length") == 2
    assert tab.problems() == []
    tab.close()


def test_page_without_an_answer_says_since_when_and_recovers(
    browser: Browser, serve: Serve, pictures: Path
) -> None:
    served = serve(hang())
    tab = opened(browser, served.url)
    served.stop()
    tab.value(ASK)
    tab.wait_for("!document.getElementById('stale').hidden")
    assert tab.value(TEXT.format("stale")).startswith("Stale since ")
    assert "vllmd does not answer" in tab.value(TEXT.format("stale"))
    assert tab.value("document.title").startswith("Stale: ")
    assert tab.value("document.querySelectorAll('tr.engine').length") == 1, "as it was known"
    for width, dark in ((1280, False), (390, True)):
        tab.look(width, 844, dark=dark)
        tab.screenshot(pictures / f"stale-{width}-{'dark' if dark else 'light'}.png")
    again = Served(served.scene, port=served.port)
    try:
        tab.value(ASK)
        tab.wait_for("document.getElementById('stale').hidden")
    finally:
        again.stop()
    tab.close()


def test_page_that_cannot_draw_what_it_gets_says_so_and_asks_on(
    browser: Browser, serve: Serve
) -> None:
    tab = opened(browser, serve(hang()).url)
    broken = "{...shown, engines: [{...shown.engines[0], served_names: undefined}]}"
    answer = f"{{status: 200, ok: true, headers: new Headers(), json: async () => ({broken})}}"
    tab.value(
        f"window.whole = shown; window.fetch = async () => ({answer}); timer = 0; ask(); true"
    )
    tab.wait_for("!document.getElementById('stale').hidden")
    assert "this page cannot show it: load it again" in tab.value(TEXT.format("stale"))
    assert tab.value(TEXT.format("fresh")).startswith("stale since ")
    assert tab.value("document.title").startswith("Stale: ")
    tab.wait_for("timer > 0")
    tab.value("show(window.whole); true")
    assert tab.value("document.getElementById('stale').hidden")
    assert tab.problems() == []
    tab.close()


def test_graphs_have_gaps_where_nothing_was_read(browser: Browser, serve: Serve) -> None:
    tab = opened(browser, serve(backoff()).url)
    tokens = "document.querySelectorAll('.graphs path.tokens_per_s')[{}].getAttribute('d')"
    chat, embed = (tab.value(tokens.format(index)) for index in (0, 1))
    assert [chat.count("M"), embed.count("M")] == [2, 1]
    assert all(point.endswith(" 48.0") for point in embed[1:].split("L")), "idle: at zero"
    last = float(chat.rpartition("L")[2].split(" ")[0])
    assert 490 < last <= 505, "it ended 95 seconds ago, of ten minutes"
    assert tab.value("document.querySelectorAll('.graphs li').length") == 2
    tab.close()


def test_graphs_are_said_in_words(browser: Browser, serve: Serve) -> None:
    tab = opened(browser, serve(backoff()).url)
    labels = "[...document.querySelectorAll('.graphs svg')].map((each) => each.ariaLabel)"
    assert [text for text in tab.value(labels) if " of embed " in text] == [
        "Tokens/s of embed in the last ten minutes: last 0.0, lowest 0.0, highest 0.0",
        "Requests of embed in the last ten minutes: "
        "running last 0, lowest 0, highest 0; waiting last 0, lowest 0, highest 0",
        "TTFT p95 of embed in the last ten minutes: no requests",
        "KV cache of embed in the last ten minutes: last 0 %, lowest 0 %, highest 0 %",
    ]
    tab.close()


def test_graphs_come_with_the_document_and_are_drawn_once_for_it(
    browser: Browser, serve: Serve
) -> None:
    scene = all_well()
    tab = opened(browser, serve(scene).url)
    tab.value("window.old = graphs(); true")
    tab.value("show(null); true")
    assert tab.value("graphs() === window.old"), "each second, but nothing is computed"
    scene.clock.now += 5
    tab.value(ASK)
    tab.wait_for("graphs() !== window.old")
    asked = "performance.getEntriesByType('resource').map((each) => new URL(each.name))"
    assert set(tab.value(f"{asked}.map((url) => url.pathname + url.search)")) == {
        "/status.json?series"
    }
    tab.close()


def test_page_of_another_version_is_loaded_again(browser: Browser, serve: Serve) -> None:
    scene = hang()
    tab = opened(browser, serve(scene).url)
    scene.daemon = about(version="99.0")
    scene.clock.now += 2
    tab.value("window.old = true; true")
    tab.value(ASK)
    tab.wait_for("window.old === undefined && document.querySelector('.verdict') !== null")
    assert tab.value(TEXT.format("about")).startswith("vllmd 99.0, ")
    tab.close()


def test_page_is_used_by_keyboard_and_focus_outlives_a_refresh(
    browser: Browser, serve: Serve
) -> None:
    scene = held()
    tab = opened(browser, serve(scene).url)
    focused = "document.activeElement.textContent"
    reached = []
    for _ in range(8):
        tab.press_tab()
        reached.append(tab.value(focused))
    assert reached[:3] == ["Skip to the engines", "runbook", "/metrics"]
    assert reached[-1] == "Grafana"
    assert tab.value("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    tab.value("document.querySelector('.conditions a').focus(); true")
    scene.engines = [*held().engines, ready("embed")]
    scene.clock.now += 2
    tab.value(ASK)
    tab.wait_for("document.querySelectorAll('tr.engine').length === 2")
    assert tab.value(focused) == "runbook"
    tab.close()


def test_page_without_scripts_has_a_table(browser: Browser, serve: Serve, pictures: Path) -> None:
    tab = Tab(browser)
    tab.look(1280, 900)
    tab.send("Emulation.setScriptExecutionDisabled", value=True)
    tab.send("Page.navigate", url=serve(held()).url)
    tab.wait_for("document.querySelectorAll('main table tr').length === 2")
    tab.screenshot(pictures / "no-script-1280-light.png")
    assert tab.value("document.querySelector('main td').textContent") == "held"
    tab.close()
