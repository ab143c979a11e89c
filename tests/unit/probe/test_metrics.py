from vllmd.probe.metrics import ProbesCollector
from vllmd.probe.status import AnswersVerdict, ProbeStatus


def samples(**figures: ProbeStatus) -> dict[tuple[str, ...], float]:
    families = ProbesCollector(lambda: figures).collect()
    return {(s.name, *s.labels.values()): s.value for each in families for s in each.samples}


def test_nothing_is_shown_where_no_answers_are_looked_at() -> None:
    assert samples() == {}


def test_figures_of_an_engine_are_shown() -> None:
    shown = samples(
        chat=ProbeStatus(
            AnswersVerdict.WRONG,
            "alert",
            asked=4,
            mismatches=3,
            right_at=9.0,
            distance=2.0,
            limit=0.15,
        )
    )
    assert shown["vllmd_probe_verdict", "chat", "wrong"] == 1
    assert shown["vllmd_probe_verdict", "chat", "right"] == 0
    assert shown["vllmd_probe_asked_total", "chat"] == 4
    assert shown["vllmd_probe_mismatches_total", "chat"] == 3
    assert shown["vllmd_probe_last_success_timestamp_seconds", "chat"] == 9
    assert shown["vllmd_probe_distance_nats", "chat"] == 2
    assert shown["vllmd_probe_distance_limit_nats", "chat"] == 0.15


def test_what_is_not_known_is_absent() -> None:
    shown = samples(chat=ProbeStatus(AnswersVerdict.UNKNOWN, "alert"))
    assert ("vllmd_probe_distance_nats", "chat") not in shown
    assert ("vllmd_probe_last_success_timestamp_seconds", "chat") not in shown
