import re
from pathlib import Path

from vllmd import events

NAMES = {k: v for k, v in vars(events).items() if k.isupper() and isinstance(v, str)}


def test_events_are_noun_past_and_unique() -> None:
    assert all(re.fullmatch(r"[a-z_]+\.[a-z_]+", name) for name in NAMES.values())
    assert len(set(NAMES.values())) == len(NAMES)


def test_every_event_is_logged_somewhere() -> None:
    package = Path(events.__file__).parent
    code = "\n".join(p.read_text() for p in package.rglob("*.py"))
    assert [name for name in NAMES if f"events.{name}" not in code] == []
