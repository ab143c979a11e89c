import io

import structlog

from vllmd import log


def test_configure_without_a_terminal_writes_one_logfmt_line_an_event() -> None:
    stream = io.StringIO()
    log.configure(stream)
    try:
        structlog.get_logger().info("engine.exited", code="0", requested=False)
        structlog.get_logger().debug("not.shown")
    finally:
        structlog.reset_defaults()
    (line,) = stream.getvalue().splitlines()
    assert "level=info event=engine.exited" in line
    assert "code=0 requested=false" in line
