from vllmd.util.failure_report import FailureReport
from vllmd.util.labelled_parts import COLUMN

PATH = f"/var/lib/vllmd/incidents/{'x' * 90}"
REPORT = FailureReport(
    what="chat failed 5s ago.",
    why=f"{'One word after another. ' * 8}(cause: killed)",
    evidence=("the first line", "the second line"),
    next=("Do this, then:", "vllmd start chat"),
    more=(PATH,),
)


def test_wrapped_report_fits_its_width_and_leaves_what_is_copied_whole() -> None:
    lines = REPORT.wrapped(80).splitlines()
    assert PATH in " ".join(lines)
    assert [line for line in lines if len(line) > 80] == [f"More      {PATH}"]
    assert [line[:COLUMN].strip() for line in lines if line[:1] != " "] == [
        "What",
        "Why",
        "Evidence",
        "Next",
        "More",
    ]
    assert f"{' ' * COLUMN}the second line" in lines
    assert f"{' ' * COLUMN}vllmd start chat" in lines


def test_text_has_a_line_for_each_item_and_none_for_an_empty_part() -> None:
    text = REPORT.text()
    assert text.splitlines()[0] == "What: chat failed 5s ago."
    assert "Evidence: the first line\nEvidence: the second line\nNext: Do this, then:\n" in text
    assert "Done" not in text
    assert FailureReport().text() == ""


def test_to_json_names_each_part() -> None:
    shown = REPORT.to_json()
    assert list(shown) == ["what", "why", "evidence", "done", "next", "more"]
    assert shown["next"] == ["Do this, then:", "vllmd start chat"]
    assert shown["done"] == ""
