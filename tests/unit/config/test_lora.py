import pytest

from tests.helpers.make import config, engine
from vllmd.config import lora
from vllmd.config.load import parse
from vllmd.config.problem import InvalidConfigError
from vllmd.config.rules import RuleError


@pytest.mark.parametrize("table", [{"a,b": "/x"}, {"a": 3}, {" a": "/x"}, {"a\n": "/x"}, "x"])
def test_lora_modules_refuses_what_is_no_adapter(table: object) -> None:
    with pytest.raises(RuleError):
        lora.lora_modules(table)


@pytest.mark.parametrize(
    ("text", "dynamic", "words"),
    [
        ("", False, None),
        ("lora = {}", True, None),
        ("lora = { dynamic = false }", False, None),
        ("lora = {}\nflags = { api-server-count = 2 }", False, "2 API servers"),
        ("lora = {}\nflags = { data-parallel-size = 4 }", False, "4 API servers"),
        ("lora = {}\nflags = { data-parallel-size = 4, api-server-count = 1 }", True, None),
        ("lora = {}\nflags = { data-parallel-size = 4, data-parallel-size-local = 1 }", True, None),
        ('lora = {}\nenv = { VLLM_USE_RUST_FRONTEND = "1" }', False, "RUST_FRONTEND"),
        ('lora = {}\nenv = { VLLM_ALLOW_RUNTIME_LORA_UPDATING = "0" }', False, "is '0'"),
    ],
)
def test_adapters_change_unless_vllm_cannot(text: str, dynamic: bool, words: str | None) -> None:
    given = engine(text)
    assert lora.dynamic(given) is dynamic
    problem = lora.dynamic_problem(given)
    assert (problem is None) if words is None else (words in str(problem))


@pytest.mark.parametrize(
    ("text", "unloads"),
    [
        ("", False),
        ("lora = {}", True),
        ('lora = { unlisted = "keep" }', False),
        ('lora = {}\nenv = { VLLM_LORA_RESOLVER_CACHE_DIR = "/x" }', False),
        ('lora = { unlisted = "unload" }\nenv = { VLLM_LORA_RESOLVER_CACHE_DIR = "/x" }', True),
    ],
)
def test_unlisted_adapters_go_unless_somebody_means_them(text: str, unloads: bool) -> None:
    assert lora.unloads_unlisted(engine(text)) is unloads


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ("lora = { dynamic = true }\nflags = { api-server-count = 2 }", "dynamic", "2 API servers"),
        (
            'lora = { directory = "/l" }\nflags = { api-server-count = 2 }',
            "directory",
            "2 API servers",
        ),
        ('lora = { directory = "/l", dynamic = false }', "directory", "not false"),
        ('lora = { modules = { m = "/l" } }', "modules.m", "base model"),
        ("lora = { max_lora_rank = 9 }", "max_lora_rank", "one of 1, 8"),
        ('lora = { unlisted = "ignore" }', "unlisted", "got 'ignore'"),
    ],
)
def test_what_cannot_be_is_refused_where_it_stands(text: str, key: str, words: str) -> None:
    with pytest.raises(InvalidConfigError) as caught:
        config(f'[engines.chat]\nmodel = "m"\n{text}')
    (problem,) = caught.value.problems
    assert problem.key == f"engines.chat.lora.{key}"
    assert words in problem.format("x")


@pytest.mark.parametrize(
    ("text", "warned"),
    [
        ('host = "0.0.0.0"\nlora = {}', True),
        ('host = "0.0.0.0"\nlora = { dynamic = false }', False),
        ('host = "0.0.0.0"\nlora = {}\nenv = { VLLM_API_KEY = "x" }', False),
        ('host = "127.0.0.1"\nlora = {}', False),
        ('host = "0.0.0.0"', False),
    ],
)
def test_adapters_that_anybody_may_load_are_warned_of(text: str, warned: bool) -> None:
    _, warnings = parse(f'[engines.chat]\nmodel = "m"\n{text}')
    assert any("may load adapters" in each.message for each in warnings) is warned
