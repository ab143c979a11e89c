from vllmd.engine.causes.first_error import first_error


def test_first_error_prefers_the_first_exception_to_the_lines_around_it() -> None:
    lines = [
        "(APIServer pid=1) INFO 11-23 18:48:58 [a.py:1] error rate 0",
        "(Worker pid=3) ERROR 11-23 18:48:07 [m.py:1063] WorkerProc hit an exception.",
        "(Worker pid=3) ERROR 11-23 18:48:07 [m.py:1063] Traceback (most recent call last):",
        "(Worker pid=3) ERROR 11-23 18:48:07 [m.py:1063] ValueError: the first",
        "RuntimeError: See root cause above.",
    ]
    assert first_error(lines) == "ValueError: the first"


def test_first_error_without_an_exception_is_the_first_error_line() -> None:
    lines = ["(Worker pid=3) ERROR 11-23 18:48:07 [m.py:1] no luck", "more"]
    assert first_error(lines) == "no luck"
    assert first_error(["all is well"]) is None
