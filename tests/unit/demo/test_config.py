from vllmd.config.load import parse
from vllmd.demo.config import DEMO_CONFIG


def test_demo_config_is_a_good_one_with_a_stand_in_and_adapters() -> None:
    config, warnings = parse(DEMO_CONFIG)
    assert warnings == []
    (engine,) = config.engines.values()
    assert engine.is_stand_in
    assert engine.lora is not None
    assert set(engine.lora.modules) == {"sql", "support"}
