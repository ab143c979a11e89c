"""The answers that are taken for right, kept for later daemons; and what was last found. Pure."""

from collections.abc import Mapping
from typing import Any

import attrs

from vllmd.probe import answer, identity
from vllmd.probe.answer import PromptAnswer
from vllmd.probe.identity import AnswersIdentity
from vllmd.probe.prompts import PROMPTS

FILE_VERSION = 1


@attrs.frozen
class Reference:
    """What later answers are compared with."""

    identity: AnswersIdentity
    answers: tuple[PromptAnswer, ...]
    noise: float
    """How far the answers were from each other when they were recorded, in nats."""
    recorded_at: float
    """In seconds since the epoch."""
    by: str
    """Who took them for right: vllmd, or a user."""


@attrs.frozen
class KeptProbe:
    """What outlives a daemon, of one engine."""

    reference: Reference | None = None
    asked_at: float | None = None
    """When its answers were looked at last, in seconds since the epoch."""
    run_id: str | None = None
    """The run that was asked last."""
    wrong: str | None = None
    """What differed, if the answers were wrong then."""
    restarts: int = 0
    """Starts that wrong answers led to, since they were right last."""
    ending: str | None = None
    """The run that is to be ended for its answers, until another one was asked."""
    withheld: str | None = None
    """What computed wrong answers, if requests are kept from it: its command and its GPUs."""
    identity: AnswersIdentity | None = None
    """What the answers of `run_id` depend on; None if an older daemon asked it."""


def to_json(kept: KeptProbe) -> dict[str, Any]:
    """Return it as it is kept."""
    reference = kept.reference
    fields = attrs.asdict(kept, recurse=False)
    fields["identity"] = kept.identity.to_json() if kept.identity is not None else None
    if reference is not None:
        fields["reference"] = {
            **attrs.asdict(reference, recurse=False),
            "identity": reference.identity.to_json(),
            "answers": [answer.to_json(each) for each in reference.answers],
        }
    return fields


def from_json(record: Mapping[str, Any]) -> KeptProbe:
    """Read what `to_json` wrote.

    Raises: KeyError, ValueError, TypeError, AttributeError: it is something else.
    """
    found = record["reference"]
    reference = None
    if found is not None:
        answers = tuple(answer.from_json(each) for each in found["answers"])
        if len(answers) != len(PROMPTS):
            raise ValueError(f"{len(answers)} answers, not {len(PROMPTS)}")
        reference = Reference(
            identity.from_json(found["identity"]),
            answers,
            float(found["noise"]),
            float(found["recorded_at"]),
            str(found["by"]),
        )
    at, asked = record["asked_at"], record.get("identity")
    return KeptProbe(
        reference,
        None if at is None else float(at),
        _text(record["run_id"]),
        _text(record["wrong"]),
        int(record["restarts"]),
        _text(record.get("ending")),  # older files have neither, nor `identity`
        _text(record.get("withheld")),
        None if asked is None else identity.from_json(asked),
    )


def _text(found: Any) -> str | None:
    return None if found is None else str(found)
