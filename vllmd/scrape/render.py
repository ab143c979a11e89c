"""Families to bytes, as Prometheus text or OpenMetrics."""

from collections.abc import Callable, Iterable, Iterator

from vllmd.scrape.families import Family


def render_text(families: Iterable[Family]) -> bytes:
    """Write families in the Prometheus text format, version 0.0.4."""
    parts = []
    for family in families:
        parts.append(b"# HELP %s %s" % (family.name, family.help))
        parts.append(b"# TYPE %s %s" % (family.name, family.type))
        parts += family.samples
    return b"".join(part + b"\n" for part in parts)


class Renderer:
    """Renders families of page after page; one that is as before is not written again."""

    def __init__(self, render: Callable[[Iterable[Family]], bytes]) -> None:
        self._render = render
        self._last: dict[bytes, tuple[Family, bytes]] = {}

    def render(self, families: Iterable[Family]) -> Iterator[bytes]:
        """Yield each family as it is written; what a page has no more is forgotten with its end."""
        before, last = self._last, {}
        for family in families:
            known = before.get(family.name)
            if known is None or known[0] != family:
                known = family, self._render([family])
            last[family.name] = known
            yield known[1]
        self._last = last


def render_openmetrics(families: Iterable[Family]) -> bytes:
    """Write families in OpenMetrics, without the closing ``# EOF``.

    Source: OpenMetrics 1.0: a counter's family is named without ``_total`` and only its sample
    has it, ``untyped`` is ``unknown``, and quotes in the help are escaped.
    """
    parts = []
    for family in families:
        name, kind = family.name, family.type
        if kind == b"counter":
            if name.endswith(b"_total"):
                name = name[: -len(b"_total")]
            else:
                kind = b"unknown"
        elif kind == b"untyped":
            kind = b"unknown"
        parts.append(b"# HELP %s %s" % (name, family.help.replace(b'"', b'\\"')))
        parts.append(b"# TYPE %s %s" % (name, kind))
        parts += family.samples
    return b"".join(part + b"\n" for part in parts)
