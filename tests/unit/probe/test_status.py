from vllmd.probe.status import AnswersVerdict, ProbeStatus


def test_json_has_the_verdict_as_text() -> None:
    shown = ProbeStatus(AnswersVerdict.WRONG, "alert").to_json()
    assert shown["verdict"] == "wrong"
    assert type(shown["verdict"]) is str
