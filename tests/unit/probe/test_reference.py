import json

import pytest

from tests.unit.probe.made import answers
from vllmd.probe.identity import AnswersIdentity
from vllmd.probe.reference import KeptProbe, Reference, from_json, to_json

IDENTITY = AnswersIdentity({"model": "m"}, {"vllm": "0.32.0"}, "abc")


def test_what_is_kept_is_read_again() -> None:
    reference = Reference(IDENTITY, tuple(answers()), 0.01, 5.0, "vllmd")
    kept = KeptProbe(reference, 6.0, "run", "far", 1, identity=IDENTITY)
    found = from_json(json.loads(json.dumps(to_json(kept))))
    assert found.reference is not None
    assert found.reference.identity == IDENTITY
    assert [each.tokens for each in found.reference.answers] == [e.tokens for e in answers()]
    assert (found.asked_at, found.run_id, found.wrong, found.restarts) == (6.0, "run", "far", 1)
    assert found.identity == IDENTITY


def test_nothing_is_kept_of_nothing() -> None:
    assert from_json(json.loads(json.dumps(to_json(KeptProbe())))) == KeptProbe()


def test_reference_of_another_number_of_prompts_is_refused() -> None:
    reference = Reference(IDENTITY, tuple(answers()[:2]), 0.01, 5.0, "vllmd")
    with pytest.raises(ValueError, match="2 answers, not 5"):
        from_json(to_json(KeptProbe(reference)))
