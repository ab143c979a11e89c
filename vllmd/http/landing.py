"""The page for a person who opens the exporter's address in a browser: all that is known now.

It is one file: its style and its script are in it, and its policy lets it load nothing else. The
script draws the document that comes with the page, and asks for a newer one every few seconds.
Without scripts there is a plain table of the same.
"""

import base64
import hashlib
import time
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from vllmd.util.units import format_duration

_ASSETS = Path(__file__).parent / "assets"
_STYLE = (_ASSETS / "status.css").read_text()
_SCRIPT = "".join((_ASSETS / name).read_text() for name in ("graphs.js", "status.js"))


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


POLICY = "; ".join(
    (
        "default-src 'none'",
        f"style-src {_hash(_STYLE)}",
        f"script-src {_hash(_SCRIPT)}",
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""Only the style and the script of this page run, and only this host is asked."""

_LINKS = (
    ("/metrics", "/metrics"),
    ("/status.json", "/status.json"),
    ("/-/healthy", "/-/healthy"),
    ("/-/ready", "/-/ready"),
    ("/runbooks/", "runbooks"),
)
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{host}: vllmd</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<style>{style}</style></head>
<body><a class="skip" href="#main">Skip to the engines</a>
<header><h1>{host}</h1><p id="about">vllmd {version}</p><p id="fresh"></p></header>
<p id="news" class="unseen" role="status" aria-live="polite"></p>
<p id="stale" role="alert" hidden></p>
<main id="main" tabindex="-1">
<noscript>{plain}</noscript>
</main>
<footer><nav aria-label="More of vllmd"><ul>{links}</ul></nav></footer>
<script type="application/json" id="first">{document}</script>
<script>{script}</script>
</body></html>
"""
_PLAIN = """<h2>Engines</h2>
<table><tr><th scope="col">Engine</th><th scope="col">State</th><th scope="col">For</th>
<th scope="col">Running</th><th scope="col">Waiting</th><th scope="col">Restarts</th>
<th scope="col">Why</th></tr>
{engines}
</table>
{conditions}
<p>As of {at} UTC. It is renewed by loading it again.</p>"""


def landing_page(document: Mapping[str, Any], body: bytes) -> str:
    """Return the page; `document` is what the port answers as JSON, and `body` that answer."""
    daemon, grafana = document["daemon"], document["links"]["grafana"]
    links = [*_LINKS, *([(grafana, "Grafana")] if grafana else [])]
    return _PAGE.format(
        host=escape(daemon["host"]),
        version=escape(daemon["version"]),
        style=_STYLE,
        script=_SCRIPT,
        plain=_plain(document),
        links="".join(f'<li><a href="{escape(to)}">{text}</a></li>' for to, text in links),
        # within <script> only this ends what is quoted: HTML, 13.2.5.4
        document=body.decode().replace("<", "\\u003c"),
    )


def _plain(document: Mapping[str, Any]) -> str:
    """Return a table of the engines, and what needs attention."""
    found = "".join(
        f"<li>{escape(c['severity'])}: {escape(c['text'])} "
        f'(<a href="{escape(c["runbook"])}">runbook</a>)</li>'
        for c in document["conditions"]
    )
    return _PLAIN.format(
        engines="\n".join(_row(engine, document["at"]) for engine in document["engines"]),
        conditions=f"<h2>What needs attention</h2><ul>{found}</ul>" if found else "",
        at=time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(document["at"])),
    )


def _row(engine: Mapping[str, Any], now: float) -> str:
    name = escape(engine["name"])
    cells = (
        engine["state"] if engine["looked_for"] else "not known yet",
        format_duration(max(0.0, now - engine["since"])),
        _or_dash(engine["requests_running"]),
        _or_dash(engine["requests_waiting"]),
        str(engine["restarts"]),
        engine["reason"] or "",
    )
    shown = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    return f'<tr><th scope="row"><a href="/ready/{name}">{name}</a></th>{shown}</tr>'


def _or_dash(value: int | None) -> str:
    return "-" if value is None else str(value)
