"""Families to bytes, as Prometheus text or OpenMetrics."""

from collections.abc import Iterable

from vllmd.scrape.families import Family


def render_text(families: Iterable[Family]) -> bytes:
    """Write families in the Prometheus text format, version 0.0.4."""
    parts = []
    for family in families:
        parts.append(b"# HELP %s %s" % (family.name, family.help))
        parts.append(b"# TYPE %s %s" % (family.name, family.type))
        parts += family.samples
    return b"".join(part + b"\n" for part in parts)


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
