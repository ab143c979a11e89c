from socket import gethostname

import pytest

from vllmd.config import load
from vllmd.config.problem import ProblemSeverity

LOGIN = 'user = "u"\npassword_file = "/etc/vllmd/credentials/fleet"\n'
ENGINE = '[engines.chat]\nmodel = "m"\n'
GROUP = (
    "flags = { tensor-parallel-size = 2 }\n[engines.chat.group]\n"
    f'hosts = ["{gethostname()}", "203.0.113.7"]\nmode = "tensor"\n'
)
FORWARD = "[traces.forward]\nendpoint = "


def told(text: str) -> list[str]:
    _, problems = load.parse(text)
    assert {each.severity for each in problems} <= {ProblemSeverity.WARNING}
    return [f"{each.key}: {each.message}" for each in problems if "plain HTTP" in each.message]


@pytest.mark.parametrize(
    ("text", "to"),
    [
        (f'[fleet]\nhosts = ["gpu01:9841"]\n{LOGIN}', "gpu01:9841"),
        (f'[fleet]\nhosts = "/etc/vllmd/hosts"\n{LOGIN}', "the hosts of /etc/vllmd/hosts"),
        (f"[fleet]\n{LOGIN}{ENGINE}{GROUP}", "203.0.113.7"),
    ],
)
def test_password_that_goes_to_another_host_by_plain_http_is_warned_of(text: str, to: str) -> None:
    (found,) = told(text)
    assert found.startswith(f"fleet.password_file: the password goes to {to} by plain HTTP")


@pytest.mark.parametrize(
    "text",
    [
        f'[fleet]\nhosts = ["gpu01"]\ntls = true\n{LOGIN}',
        f'[fleet]\nhosts = ["gpu01"]\nca_file = "/etc/ca.pem"\n{LOGIN}',
        f'[fleet]\nhosts = ["127.0.0.1", "localhost", "[::1]:9841"]\n{LOGIN}',
        '[fleet]\nhosts = ["gpu01"]\nuser = "u"\n',
        f"[fleet]\n{LOGIN}",
        f'{FORWARD}"http://tempo:4318"\n',
        f'{FORWARD}"https://tempo:4318"\nheaders = {{ Authorization = "Bearer x" }}\n',
        f'{FORWARD}"http://127.0.0.1:4319"\nheaders_file = "/etc/h"\n',
    ],
)
def test_what_stays_here_or_goes_by_tls_is_no_matter(text: str) -> None:
    assert told(text) == []


@pytest.mark.parametrize("key", ["headers", "headers_file"])
def test_headers_of_spans_are_warned_of_as_well(key: str) -> None:
    value = '{ Authorization = "Bearer x" }' if key == "headers" else '"/etc/h"'
    (found,) = told(f'{FORWARD}"http://tempo:4318"\n{key} = {value}\n')
    assert found.startswith(f"traces.forward.{key}: the headers go to tempo by plain HTTP")
    assert "Bearer" not in found
