from vllmd.logs.excerpt import WHOLE_BYTES, excerpt

BANNER = b"(APIServer pid=1) INFO 11-23 18:48:58 [a.py:1] vLLM API server version 0.32.0\n"
UP = b"(APIServer pid=1) INFO:     Application startup complete.\n"
FATAL = (
    b"(EngineCore pid=7) ERROR 11-23 19:06:44 [core.py:1] EngineCore encountered a fatal error.\n"
)
ROOT = b"(EngineCore pid=7) ERROR 11-23 19:06:44 [core.py:1] KeyError: 'a'\n"
SERVED = b"(APIServer pid=1) INFO:     127.0.0.1:1 - 'GET /' 200\n"
FLOOD = SERVED * (2 * WHOLE_BYTES // len(SERVED))


def test_excerpt_of_a_small_output_is_its_last_run_whole() -> None:
    assert excerpt(b"") == b""
    assert excerpt(UP + ROOT) == UP + ROOT
    old = b"old\n" * 9000
    assert excerpt(old + BANNER + ROOT).endswith(BANNER + ROOT)
    assert len(excerpt(old + BANNER + ROOT)) < len(old)


def test_excerpt_of_a_huge_one_has_the_start_the_first_fatal_line_and_the_end() -> None:
    found = excerpt(BANNER + UP + FLOOD + FATAL + ROOT + FLOOD + b"last\n")
    assert len(found) < WHOLE_BYTES
    assert found.startswith(BANNER + UP)
    assert FATAL + ROOT in found
    assert found.endswith(b"last\n")
    assert {line + b"\n" for line in found.split(b"\n")[:-1]} == {
        BANNER,
        UP,
        SERVED,
        FATAL,
        ROOT,
        b"last\n",
    }


def test_excerpt_has_the_line_that_says_when_it_was_ready() -> None:
    assert UP in excerpt(BANNER + FLOOD + UP + FLOOD + FATAL + ROOT)
