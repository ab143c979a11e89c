import pytest

from vllmd.redact import MASK, Redactor


@pytest.mark.parametrize(
    "text",
    [
        "token hf_abcdefghijklmnopqrstuv at the end",
        "key sk-proj-abcdefghijklmnop",
        "Authorization: Bearer abc.def-123456",
        "fetching https://ann:pa55word@example.org/x",
        "https://hooks.slack.com/services/T000/B000/XXXX",
        "ghp_abcdefghijklmnopqrst",
        "planted-secret-1 and planted-secret-12",
    ],
)
def test_text_masks_known_secrets_and_what_looks_like_one(text: str) -> None:
    redactor = Redactor(["planted-secret-1", "planted-secret-12", "", "a"])
    masked = redactor.text(text)
    assert MASK in masked
    for part in ("abcdefgh", "123456", "pa55word", "XXXX", "planted", MASK + "2"):
        assert part not in masked
    assert redactor.text("a task-force of many") == "a task-force of many"


def test_value_masks_however_deep_and_keeps_the_rest() -> None:
    redactor = Redactor(["s3cr3t-value"])
    value = {"a": ["x s3cr3t-value", ("s3cr3t-value", 1)], "s3cr3t-value": {"b": None}, "c": 1.5}
    masked = {"a": [f"x {MASK}", [MASK, 1]], MASK: {"b": None}, "c": 1.5}
    assert redactor(None, "info", value) == masked
    redactor.learn([])
    assert redactor.value("s3cr3t-value") == "s3cr3t-value"
