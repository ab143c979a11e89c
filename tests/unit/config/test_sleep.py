from vllmd.config import command
from vllmd.config.load import parse
from vllmd.config.problem import InvalidConfigError

TABLE = '[engines.chat]\nmodel = "m"\n'


def problems(text: str) -> list[str]:
    try:
        return [str(each) for each in parse(TABLE + text)[1]]
    except InvalidConfigError as error:
        return [str(error)]


def test_table_adds_the_flag_and_the_variable_and_no_table_adds_none() -> None:
    engines = parse(f"{TABLE}[engines.chat.sleep]\n")[0].engines
    built = command.build(engines["chat"], {})
    assert "--enable-sleep-mode" in built.argv
    assert built.own_env["VLLM_SERVER_DEV_MODE"] == "1"
    plain = command.build(parse(TABLE)[0].engines["chat"], {})
    assert "--enable-sleep-mode" not in plain.argv
    assert "VLLM_SERVER_DEV_MODE" not in plain.own_env


def test_keys_of_its_own_flag_are_not_doubled() -> None:
    text = f"{TABLE}flags = {{ enable-sleep-mode = true }}\n[engines.chat.sleep]\n"
    argv = command.build(parse(text)[0].engines["chat"], {}).argv
    assert argv.count("--enable-sleep-mode") == 1


def test_what_does_not_go_with_sleep_is_refused_with_the_reason() -> None:
    for text, words in (
        ('host = "0.0.0.0"\n[engines.chat.sleep]', "opens vLLM's development routes"),
        ("preload = true\n[engines.chat.sleep]", "gives up memory that is not its own"),
        ("[engines.chat.lora]\n[engines.chat.sleep]\nlevel = 2", "does not bring adapters back"),
        ("flags = { enable-sleep-mode = false }\n[engines.chat.sleep]", "does not go with"),
        ('env = { VLLM_SERVER_DEV_MODE = "0" }\n[engines.chat.sleep]', "closes the routes"),
        ("[engines.chat.sleep]\nhttp_wake = true", "daemon.web_config_file is not set"),
        ("[engines.chat.sleep]\nlevel = 3", "a whole number from 1 to 2"),
        ('[engines.chat.sleep]\nschedule = "noon"', "times such as"),
        ('[engines.chat.sleep]\nshare = "gpu0"', "of this engine alone"),
    ):
        (said,) = problems(text)
        assert words in said, text


def test_what_goes_with_sleep_is_taken() -> None:
    for text in (
        "[engines.chat.sleep]",
        'host = "0.0.0.0"\n[engines.chat.sleep]\nexpose_dev_mode = true',
        "[engines.chat.lora]\n[engines.chat.sleep]\nlevel = 1",
    ):
        engine = parse(TABLE + text)[0].engines["chat"]
        assert engine.sleep is not None
        said = [each for each in problems(text) if "adapters" not in each]
        assert not said, text


def test_engines_in_turns_are_counted_once_in_a_gpus_memory() -> None:
    def text(share: str) -> str:
        return "".join(
            f'[engines.{name}]\nmodel = "m"\nport = {port}\ngpu_memory_utilization = 0.7\n'
            f"[engines.{name}.sleep]\n{share}\n"
            for name, port in (("a", 8001), ("b", 8002))
        )

    assert not parse(text('share = "gpu0"'))[1]
    (warned,) = parse(text(""))[1]
    assert "adds up to 1.4" in str(warned)
