import re

from vllmd import errors
from vllmd.errors import VllmdError


def test_exit_codes_documented_tree_matches_classes() -> None:
    documented = dict(re.findall(r"(\w+Error)\s+(\d+)", errors.__doc__ or ""))
    classes = {
        name: str(thing.exit_code)
        for name, thing in vars(errors).items()
        if isinstance(thing, type) and issubclass(thing, VllmdError)
    }
    assert documented == classes
