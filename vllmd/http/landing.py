"""The page for a person who opens the exporter's address in a browser."""

from collections.abc import Sequence
from html import escape

import vllmd
from vllmd.engine.status import EngineStatus

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>vllmd</title>
<style>body{{font:16px system-ui;margin:2em}}
td,th{{text-align:left;padding:.2em 1.5em .2em 0}}</style>
</head><body><h1>vllmd {version}</h1>
<table><tr><th>engine</th><th>state</th><th>model</th><th>API</th></tr>
{rows}
</table>
<p><a href="/metrics">/metrics</a> · <a href="/-/healthy">/-/healthy</a> ·
<a href="/-/ready">/-/ready</a> · <a href="/runbooks/">runbooks</a></p></body></html>
"""


def landing_page(engines: Sequence[EngineStatus]) -> str:
    """Return the landing page."""
    rows = "\n".join(
        f'<tr><td><a href="/ready/{escape(e.name)}">{escape(e.name)}</a></td><td>{e.state}</td>'
        f"<td>{escape(e.model)}</td><td>{escape(e.url)}</td></tr>"
        for e in engines
    )
    return _PAGE.format(version=vllmd.__version__, rows=rows)
