from tests.helpers.make import config
from vllmd.config.secrets import secrets_of


def test_secrets_are_found_by_the_names_of_variables_and_flags() -> None:
    given = config(
        '[engines.chat]\nmodel = "m"\nenv = { HF_TOKEN = "one", HF_HOME = "/srv" }\n'
        'flags = { ssl-keyfile-password = "two", seed = 5, kv-transfer-config = '
        '{ api_key = ["three"], port = 1 } }\n'
    )
    assert list(secrets_of(given, {"AWS_SECRET_KEY": "four", "PATH": "/bin"})) == [
        "four",
        "one",
        "two",
        "three",
    ]
