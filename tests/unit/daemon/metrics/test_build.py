import platform

import vllmd
from tests.helpers.metrics import values
from vllmd.daemon.metrics.build import BuildCollector


def test_collect_says_which_vllmd() -> None:
    found = values(BuildCollector().collect())
    assert found == {("vllmd_build_info", platform.python_version(), vllmd.__version__): 1}
