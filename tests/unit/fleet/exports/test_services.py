import socket

import pytest

from tests.helpers.make import config
from vllmd.config.fleet import FleetHost
from vllmd.errors import UnknownEngineError
from vllmd.fleet.exports.services import services, word

TWO = """
[engines.chat]
model = "org/chat"
[engines.small-0]
model = "org/small"
served_model_name = "small"
port = 8001
[engines.small-1]
model = "org/small"
served_model_name = "small"
port = 8002
"""
HOSTS = (FleetHost("gpu01"), FleetHost("::1", 9841))


def test_engines_that_serve_one_model_are_one_service_on_all_hosts() -> None:
    chat, small = services(config(TWO), HOSTS)
    assert (chat.name, chat.port, small.name, small.port) == ("org/chat", 8080, "small", 8081)
    assert [each.netloc for each in chat.replicas] == ["gpu01:8000", "[::1]:8000"]
    assert [each.name for each in small.replicas] == [
        *("gpu01:small-0", "gpu01:small-1", "..1:small-0", "..1:small-1"),
    ]
    assert [each.name for each in small.engines] == ["small-0", "small-1"]


def test_one_is_chosen_by_its_model_or_an_engine_of_it() -> None:
    assert [s.name for s in services(config(TWO), HOSTS, "small-1")] == ["small"]
    assert [s.name for s in services(config(TWO), HOSTS, "small", 9000)] == ["small"]
    with pytest.raises(UnknownEngineError, match="no engine 'smal'"):
        services(config(TWO), HOSTS, "smal")


OWN = socket.gethostname()
GROUP = f"""
[engines.big]
model = "m"
group = {{ hosts = ["198.51.100.1", "{OWN}"], mode = "data" }}
"""


@pytest.mark.parametrize("hosts", [(OWN, "198.51.100.1"), ("127.0.0.1",), ("gpu01.lan", "gpu02")])
def test_of_a_group_the_head_alone_is_a_replica(hosts: tuple[str, ...]) -> None:
    (big,) = services(config(GROUP), [FleetHost(name) for name in hosts])
    assert [each.netloc for each in big.replicas] == ["198.51.100.1:8000"]


def test_names_are_what_balancers_take() -> None:
    assert word("org/chat 8B") == "org-chat-8B"
