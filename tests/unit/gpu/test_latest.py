from typing import Any

from vllmd.gpu.latest import LatestReadings, Periods

FAST: dict[str, Any] = {"took_s": 0.1, "cpu_s": 1.0, "rss": 5, "errors": {}, "lost": {}}
G1, G2, MIG = "GPU-1", "GPU-2", "MIG-1"


def record(uuid: str, index: int, **more: Any) -> dict[str, Any]:
    return {"uuid": uuid, "index": index, "name": "X", "pci_bus_id": "p", **more}


def made(*devices: dict[str, Any], indices: dict[str, int] | None = None) -> LatestReadings:
    latest = LatestReadings(Periods(1, 10, 15), 60.0, indices)
    latest.take({"kind": "devices", "devices": list(devices or [record(G1, 0)])}, 0.0)
    return latest


def values(kind: str, **by_uuid: dict[str, float]) -> dict[str, Any]:
    found = {uuid.replace("_", "-"): each for uuid, each in by_uuid.items()}
    return {"kind": kind, "at": 1000.0, "values": found, **FAST}


def test_values_of_all_sets_are_one_until_each_is_too_old() -> None:
    latest = made()
    latest.take(values("once", GPU_1={"clock_max_hertz:sm": 3.0}), 0.0)
    latest.take(values("slow", GPU_1={"energy_joules_total": 2.0}), 0.0)
    latest.take(values("fast", GPU_1={"power_watts": 1.0}), 0.0)
    assert latest.values(G1, 4.0) == {
        "clock_max_hertz:sm": 3.0,
        "energy_joules_total": 2.0,
        "power_watts": 1.0,
    }
    assert latest.values(G1, 5.1) == {}, "no figure is shown once the reader is silent"
    latest.take(values("fast", GPU_1={"power_watts": 1.0}), 46.0)
    assert latest.values(G1, 46.0) == {"clock_max_hertz:sm": 3.0, "power_watts": 1.0}
    assert latest.fresh(46.0)
    assert not latest.fresh(60.0)


def test_lost_device_has_no_values_and_comes_back() -> None:
    latest = made(record(G1, 0), record(G2, 1))
    message = values("fast", GPU_2={"power_watts": 1.0})
    latest.take({**message, "lost": {G1: "lost"}}, 0.0)
    assert latest.lost == {G1: "lost"}
    assert (latest.values(G1, 0.0), latest.values(G2, 0.0)) == ({}, {"power_watts": 1.0})
    latest.take(values("fast", GPU_1={"power_watts": 2.0}, GPU_2={}), 1.0)
    assert latest.lost == {}
    assert latest.values(G1, 1.0) == {"power_watts": 2.0}


def test_gpu_that_is_not_listed_any_more_is_missing_and_the_others_keep_their_index() -> None:
    """NVML renumbers what is left; a dashboard must not."""
    latest = made(record(G1, 0), record(G2, 1))
    latest.take({"kind": "devices", "devices": [record(G2, 0)]}, 0.0)
    latest.take(values("fast", GPU_2={}), 0.0)
    assert latest.lost == {G1: "missing"}
    assert {d.uuid: d.index for d in latest.devices.values()} == {G1: 0, G2: 1}
    latest.take({"kind": "devices", "devices": [record(G1, 0), record(G2, 1)]}, 1.0)
    assert latest.lost == {}


def test_indices_outlive_the_daemon_and_a_new_gpu_gets_a_free_one() -> None:
    indices = {G1: 0}
    latest = made(record(G2, 0), indices=indices)
    assert latest.devices[G2].index == 1
    assert indices == {G1: 0, G2: 1}
    assert latest.lost == {G1: "missing"}, "the daemon before had seen it"


def test_instance_has_its_parents_index_and_is_gone_when_it_is_removed() -> None:
    instance = record(MIG, 0, parent=G1, gpu_instance=7, compute_instance=0)
    latest = made(record(G1, 0), instance)
    assert latest.devices[MIG].label == "0:7:0"
    latest.take({"kind": "devices", "devices": [record(G1, 0)]}, 0.0)
    assert MIG not in latest.devices
    assert latest.lost == {}


def test_counter_that_wraps_goes_on() -> None:
    latest = made()
    for value in (2**32 - 100, 50, 60):
        latest.take(values("slow", GPU_1={"pcie_receive_bytes_total": float(value)}), 0.0)
    latest.take(values("fast", GPU_1={}), 0.0)
    assert latest.values(G1, 0.0)["pcie_receive_bytes_total"] == 2**32 + 60


def test_peak_is_that_of_the_window() -> None:
    latest = made()
    for at, watts in enumerate([100.0, 650.0, 90.0]):
        latest.take(values("fast", GPU_1={"power_watts": watts}), float(at))
    assert latest.peak(G1, "power_watts", 3.0) == 650.0
    assert latest.peak(G1, "power_watts", 61.5) == 90.0
    assert latest.peak(G1, "memory_used_bytes", 3.0) is None


def listing(at: float = 1000.0, *processes: list[int]) -> dict[str, Any]:
    memory = {"total": 100, "free": 60, "used": 35, "reserved": 5}
    devices = {G1: {"memory": memory, "processes": list(processes)}}
    return {"kind": "processes", "at": at, "took_s": 0.1, "devices": devices}


def test_listing_is_forgotten_when_it_is_old_or_the_source_ends() -> None:
    latest = made()
    assert latest.listings(0.0) is None
    latest.take(listing(1000.0, [7, 35]), 0.0)
    found = latest.listings(29.0)
    assert found is not None
    assert found[G1].processes == ((7, 35),)
    assert latest.listings(31.0) is None
    latest.take(listing(), 40.0)
    latest.forget()
    assert latest.listings(40.0) is None


def test_recent_has_the_last_ten_minutes_some_seconds_apart() -> None:
    latest = made()
    for second in range(0, 1300):
        latest.take(values("fast", GPU_1={"power_watts": float(second)}), float(second))
        latest.take(listing(1000.0 + second), float(second))
    found = latest.recent()
    assert len(found) <= 68
    assert 600 <= found[-1]["at"] - found[0]["at"] + 9 <= 620
    assert found[-1]["values"][G1]["power_watts"] > 1280


def test_message_that_is_not_known_changes_nothing() -> None:
    latest = made()
    latest.take({"kind": "news"}, 0.0)
    assert list(latest.devices) == [G1]


def test_costs_are_those_of_both_readers_also_of_one_that_ended() -> None:
    latest = made()
    for kind, cpu_s, errors in (
        ("fast", 2.0, {"999": 1}),
        ("slow", 1.0, {"999": 2, "6": 1}),
        ("slow", 0.25, {}),  # another process
        ("once", 0.5, {"6": 3}),
    ):
        latest.take({**values(kind), "cpu_s": cpu_s, "rss": 5, "errors": errors}, 0.0)
    assert latest.cpu_s == 2.0 + 1.0 + 0.5
    assert latest.rss_bytes == 10
    assert latest.errors == {"999": 1, "6": 3}
