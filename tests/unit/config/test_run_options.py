import pytest

from tests.helpers.make import config
from vllmd.config.run_options import Overrides

FILE = '[daemon]\nlisten = "127.0.0.1:1"\nweb_config_file = "/etc/vllmd/web.yml"\npoll_s = 9\n'


@pytest.mark.parametrize(
    ("given", "listen", "file"),
    [
        (Overrides(), ("127.0.0.1", 1), "/etc/vllmd/web.yml"),
        (Overrides(listen=("::", 2)), ("::", 2), "/etc/vllmd/web.yml"),
        (Overrides(web_config_file="/other.yml"), ("127.0.0.1", 1), "/other.yml"),
        (Overrides(web_config_file=""), ("127.0.0.1", 1), None),
    ],
)
def test_apply_puts_what_was_given_above_the_file(
    given: Overrides, listen: tuple[str, int], file: str | None
) -> None:
    daemon = given.apply(config(FILE)).daemon
    assert (daemon.listen, daemon.web_config_file, daemon.poll_s) == (listen, file, 9)
