import pytest

from tests.helpers.make import engine
from vllmd.config import flags
from vllmd.demo.args import parse_args


def test_parse_args_takes_what_the_configuration_makes() -> None:
    configured = engine(
        'served_model_name = ["a", "b"]\nport = 9000\nquantization = "fp8"\nmax_model_len = "1K"\n'
        "gpu_memory_utilization = 0.9\nmax_num_seqs = 8\nenable_prefix_caching = false\n"
        'lora = { dynamic = false, modules = { x = "/x" } }\n'
        "flags = { enforce-eager = true }\ndrain_s = 2.5\n"
    )
    args = parse_args(flags.arguments(configured))
    assert (args.model, args.served_names, args.port) == ("m", ("a", "b"), 9000)
    assert (args.max_model_len, args.max_num_seqs) == (1024, 8)
    assert args.lora_modules == {"x": "/x"}
    assert args.shutdown_timeout == 3


def test_parse_args_adapter_as_name_and_path() -> None:
    args = parse_args(["serve", "m", "--enable-lora", "--lora-modules", "a=/a", "b=/b=c"])
    assert args.lora_modules == {"a": "/a", "b": "/b=c"}


def test_parse_args_unknown_flag_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_args(["serve", "m", "--no-such-flag", "1"])
    assert caught.value.code == 2
    assert "vllm: error: unrecognized arguments: --no-such-flag 1" in capsys.readouterr().err
