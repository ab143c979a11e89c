import pytest

from vllmd.config.gpus import visible_gpus
from vllmd.doctor.seen import GpuFacts, seen_gpus


def gpu(uuid: str, parent: str = "") -> GpuFacts:
    return GpuFacts(10, 0, 10, uuid=uuid, parent=parent)


WHOLE = (gpu("GPU-aa1"), gpu("GPU-ab2"), gpu("GPU-b3"))
DIVIDED = (
    gpu("GPU-aa1"),
    gpu("GPU-ab2"),
    gpu("MIG-c1", "GPU-ab2"),
    gpu("MIG-c2", "GPU-ab2"),
)
ONLY_INSTANCES = (gpu("MIG-c1", "GPU-ab2"), gpu("MIG-c2", "GPU-ab2"))


@pytest.mark.parametrize(
    ("gpus", "said", "seen", "wrong"),
    [
        (WHOLE, None, ["GPU-aa1", "GPU-ab2", "GPU-b3"], None),
        (WHOLE, "2,0", ["GPU-b3", "GPU-aa1"], None),
        (WHOLE, "GPU-b,GPU-aa1", ["GPU-b3", "GPU-aa1"], None),
        (WHOLE, "", [], None),
        (WHOLE, "0,3,1", ["GPU-aa1"], "3"),
        (WHOLE, "0,-1,1", ["GPU-aa1"], "-1"),
        (WHOLE, "NoDevFiles", [], "NoDevFiles"),
        (WHOLE, "all", [], "all"),
        (WHOLE, "none", [], "none"),
        (WHOLE, "1,1", [], "1"),
        (WHOLE, "0,GPU-aa1", [], "GPU-aa1"),
        (WHOLE, "GPU-a", [], "GPU-a"),
        (WHOLE, "GPU-zz", [], "GPU-zz"),
        (WHOLE, "gpu-b3", [], "gpu-b3"),
        (WHOLE, "MIG-c1", [], "MIG-c1"),
        (DIVIDED, None, ["GPU-aa1"], None),
        (DIVIDED, "1", ["MIG-c1"], None),
        (DIVIDED, "MIG-c2", ["MIG-c2"], None),
        (DIVIDED, "MIG-c2,MIG-c1", ["MIG-c2"], None),
        (DIVIDED, "GPU-ab", ["MIG-c1"], None),
        (ONLY_INSTANCES, None, ["MIG-c1"], None),
        (ONLY_INSTANCES, "MIG-c2", ["MIG-c2"], None),
    ],
)
def test_seen_is_what_cuda_makes_of_the_names(
    gpus: tuple[GpuFacts, ...], said: str | None, seen: list[str], wrong: str | None
) -> None:
    names = visible_gpus({} if said is None else {"CUDA_VISIBLE_DEVICES": said})
    found = seen_gpus(names, gpus)
    assert [each.uuid for each in found.gpus] == seen
    assert found.wrong == wrong


def test_seen_with_fewer_device_files_than_gpus_is_what_has_one() -> None:
    assert seen_gpus(None, WHOLE, 2).gpus == WHOLE[:2]
    assert seen_gpus(("2",), WHOLE, 2).wrong == "2"


def test_seen_name_of_a_gpu_whose_uuid_nobody_knows_is_believed() -> None:
    found = seen_gpus(("GPU-7",), (gpu(""), gpu("")))
    assert (len(found.gpus), found.wrong) == (1, None)
