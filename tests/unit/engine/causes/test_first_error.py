from vllmd.engine.causes.first_error import first_error


def test_first_error_prefers_the_first_exception_to_the_lines_around_it() -> None:
    lines = [
        "INFO 11-23 19:06:44 [a.py:1] fine",
        "(EngineCore pid=7) ERROR 11-23 19:06:44 [core.py:1] EngineCore failed to start.",
        "(EngineCore pid=7) ERROR 11-23 19:06:44 [core.py:1] ValueError: the first",
        "RuntimeError: Engine core initialization failed. See root cause above.",
    ]
    assert first_error(lines) == "ValueError: the first"


def test_first_error_without_an_exception_is_the_first_error_line() -> None:
    lines = ["all is well", "ERROR 11-23 19:06:44 [a.py:1] no luck", "ERROR: none either"]
    assert first_error(lines) == "no luck"
    assert first_error(["all is well"]) is None
