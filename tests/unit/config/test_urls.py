import socket

import pytest

from vllmd.config.urls import url_of


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://[::1]:80"),
        ("fe80::1", "http://[fe80::1]:80"),
        ("gpu7", "http://gpu7:80"),
    ],
)
def test_url_of_an_address_is_where_this_host_reaches_it(host: str, url: str) -> None:
    assert url_of(host, 80) == url


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_url_of_a_listener_is_one_that_this_host_reaches(host: str) -> None:
    with socket.create_server((host, 0)) as listener:
        port = listener.getsockname()[1]
        assert url_of(*listener.getsockname()[:2]) == f"http://127.0.0.1:{port}"
