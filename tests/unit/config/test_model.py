import attrs
import pytest

from tests.helpers.make import config, engine
from vllmd.config.lora import LoraConfig
from vllmd.config.model import Config, DaemonConfig, EngineConfig, RestartConfig


@pytest.mark.parametrize("cls", [Config, DaemonConfig, EngineConfig, LoraConfig, RestartConfig])
def test_model_every_key_is_documented_and_frozen(cls: type) -> None:
    for field in attrs.fields(cls):
        if field.name not in ("name", "path", "variables", "secret_variables", "api_keys"):
            assert field.metadata.get("help", "").endswith("."), field.name
    assert "__setattr__" in vars(cls)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::", "http://[::1]:8000"),
        ("gpu.example", "http://gpu.example:8000"),
    ],
)
def test_engine_url_is_one_that_this_host_reaches(host: str, url: str) -> None:
    assert engine(f'host = "{host}"').url == url


@pytest.mark.parametrize("value", ["4096", '"32k"', '"auto"', '"1.5M"'])
def test_max_model_len_takes_what_vllm_takes(value: str) -> None:
    assert str(engine(f"max_model_len = {value}").max_model_len) == value.strip('"')


@pytest.mark.parametrize(
    ("listen", "address"),
    [("0.0.0.0:9840", ("0.0.0.0", 9840)), ("[::]:80", ("::", 80)), (":9840", ("0.0.0.0", 9840))],
)
def test_listen_takes_host_and_port(listen: str, address: tuple[str, int]) -> None:
    assert config(f'[daemon]\nlisten = "{listen}"').daemon.listen == address
