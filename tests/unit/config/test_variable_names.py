from vllmd.config import variable_names, variables


def test_name_for_every_key_is_read_back() -> None:
    for key in ("listen", "run_dir", "poll_s"):
        name = variable_names.name_for(("daemon", key))
        assert variables.merge({}, {name: "1"}).variables == {("daemon", key): name}
    assert variable_names.name_for(("engines", "a-b", "port")) == "VLLMD__ENGINES__A_B__PORT"
