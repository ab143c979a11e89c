from vllmd.config.problem import ConfigProblem, InvalidConfigError, ProblemSeverity


def test_problem_format_has_place_key_message_and_fix() -> None:
    problem = ConfigProblem("got 70000", "it takes 1 to 65535", "engines.a.port", 12)
    assert problem.format("/etc/v.toml") == (
        "/etc/v.toml:12: error: engines.a.port: got 70000; it takes 1 to 65535"
    )


def test_problem_format_without_line_or_key_leaves_them_out() -> None:
    problem = ConfigProblem("is odd", "look", severity=ProblemSeverity.WARNING)
    assert problem.format(None) == "configuration: warning: is odd; look"


def test_invalid_config_error_lists_every_problem() -> None:
    error = InvalidConfigError("f", [ConfigProblem("a", "b"), ConfigProblem("c", "d")])
    assert len(str(error).splitlines()) == 2
    assert error.exit_code == 78


def test_problem_format_value_of_a_variable_is_placed_there() -> None:
    problem = ConfigProblem("got 0", "it takes 1", "engines.a.port", 12, variable="VLLMD__X")
    assert problem.format("/etc/v.toml") == "VLLMD__X: error: engines.a.port: got 0; it takes 1"
