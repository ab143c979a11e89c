"""Answers of an engine to a probe, and the file with those that are taken for right."""

import json

import httpx

from tests.fuzz.target import Target
from tests.unit.probe.made import answers, body
from vllmd.probe import comparison, reference
from vllmd.probe.answer import BrokenAnswerError
from vllmd.probe.asking import NotApplicableError, NotAskedError, read
from vllmd.probe.identity import AnswersIdentity
from vllmd.probe.reference import KeptProbe, Reference
from vllmd.shim.files import parse_json
from vllmd.util.state_file import MAKES_NO_SENSE

RECORD = b"record:"


def _run(data: bytes) -> None:
    if data.startswith(RECORD):
        _kept(data.removeprefix(RECORD))
        return
    try:
        found = read(httpx.Response(200, content=data))
    except (BrokenAnswerError, NotAskedError, NotApplicableError) as error:
        str(error)
        return
    difference = comparison.compare(answers()[0], found)
    comparison.farthest([difference])


def _kept(content: bytes) -> None:
    try:
        kept = reference.from_json(parse_json(content))
    except MAKES_NO_SENSE:
        return
    written = json.loads(json.dumps(reference.to_json(kept)))
    assert reference.to_json(reference.from_json(written)) == reference.to_json(kept)


def _corpus() -> list[bytes]:
    known = Reference(AnswersIdentity({"m": "a"}, {"v": "b"}), tuple(answers()), 0.1, 5.0, "root")
    kept = KeptProbe(known, 5.0, "r", "differs", 1)
    made = [RECORD + json.dumps(reference.to_json(each)).encode() for each in (kept, KeptProbe())]
    return [*made, *(json.dumps(body(each)).encode() for each in answers()[:2])]


TARGET = Target(
    "probes",
    _run,
    _corpus,
    scraps=(
        b"NaN",
        b"-Infinity",
        b"1000.5",
        b"-9999",
        b"null",
        b"[]",
        b"{}",
        b'"token_id:9": 0.0',
        b'"token_id:"',
        b"0",
    ),
)
