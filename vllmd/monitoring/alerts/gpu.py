"""Are the GPUs well, and can they be read?"""

from vllmd.monitoring.rules import GPU, Alert, AlertSeverity, RuleGroup
from vllmd.monitoring.settings import RuleSettings


def group(_: RuleSettings) -> RuleGroup:
    """Return the alerts of GPUs. Temperature and use are none: nobody can act on those."""
    return RuleGroup(
        "vllmd-gpu",
        "Are the GPUs well, and can they be read?",
        [
            Alert(
                "VllmdGpuLost",
                AlertSeverity.CRITICAL,
                # a person let go of all of them, or a driver that was upgraded has its own alert
                """
                vllmd_gpu_up == 0
                  unless on (instance)
                    vllmd_nvml_problem{reason=~"released|driver_mismatch"} == 1
                """,
                f"{GPU} does not answer",
                "It fell off the bus, or hangs. 'vllmd gpu' says which, the kernel's log has the "
                "Xid; only a reboot brings it back.",
                wait="1m",
            ),
            Alert(
                "VllmdGpuXidFatal",
                AlertSeverity.CRITICAL,
                """
                time() - vllmd_gpu_xid_last_timestamp_seconds{action=~"reset|reboot"} < 900
                """,
                f"{GPU}: Xid {{{{ $labels.xid }}}}, which asks for a {{{{ $labels.action }}}}",
                "The driver gave up on what ran there. 'vllmd gpu' says what the number means.",
            ),
            Alert(
                "VllmdGpuRecoveryAction",
                AlertSeverity.CRITICAL,
                "vllmd_gpu_recovery_action > 0",
                f"{GPU}: the driver asks for recovery action {{{{ $value }}}}",
                "1 GPU reset, 2 reboot, 3 drain peers, 4 drain and reset, 5 recover the IMEX "
                "domain, 6 bus reset, 7 reboot of the system. First 'vllmd stop', which drains.",
            ),
            Alert(
                "VllmdGpuEccUncorrected",
                AlertSeverity.CRITICAL,
                'vllmd_gpu_ecc_errors_total{error="uncorrected"} > 0',
                f"{GPU}: {{{{ $value }}}} uncorrected ECC errors since the driver was loaded",
                "What it computed may be wrong. Stop its engine, reset the GPU, and watch whether "
                "they come back.",
            ),
            Alert(
                "VllmdGpuRowRemapFailed",
                AlertSeverity.CRITICAL,
                "vllmd_gpu_row_remap_failed == 1",
                f"{GPU} has bad memory and no spare rows left",
                "It is to be exchanged: take it out of use, and open a case with its vendor.",
            ),
            Alert(
                "VllmdGpuRowRemapPending",
                AlertSeverity.WARNING,
                "vllmd_gpu_row_remap_pending == 1",
                f"{GPU} replaces rows of its memory at its next reset",
                "It works until then. Plan a reset in a quiet hour.",
                wait="15m",
            ),
            Alert(
                "VllmdGpuThrottled",
                AlertSeverity.WARNING,
                """
                rate(vllmd_gpu_clock_event_seconds_total{reason=~"hw_thermal|hw_power_brake"}[10m])
                  > 0.05
                """,
                f"{GPU} is held back {{{{ $value | humanizePercentage }}}} of the time: "
                "{{ $labels.reason }}",
                "Its cooling or its power supply fails it. Answers are slow until that is fixed.",
                wait="10m",
            ),
            Alert(
                "VllmdHostMemoryLow",
                AlertSeverity.CRITICAL,
                "vllmd_gpu_memory_free_bytes < 1.5 * vllmd_gpu_memory_floor_bytes",
                f"{GPU} shares the host's memory, and {{{{ $value | humanize1024 }}}}B are left",
                "Such a host locks up instead of ending a process. Below the floor vllmd drains "
                "the engine that holds most. 'vllmd gpu' says who holds memory.",
            ),
            Alert(
                "VllmdDriverMismatch",
                AlertSeverity.WARNING,
                "vllmd_nvml_driver_mismatch == 1",
                "{{ $labels.instance }}: the NVIDIA driver was upgraded under what runs",
                "Engines serve on, and none could start again. Do not restart any: drain the host "
                "and reboot it.",
            ),
            Alert(
                "VllmdGpuReaderDown",
                AlertSeverity.WARNING,
                # a person let go of it, or another alert says why
                """
                (vllmd_nvml_up == 0 or time() - vllmd_nvml_last_success_timestamp_seconds > 120)
                  unless on (instance)
                    vllmd_nvml_problem{reason=~"released|driver_mismatch"} == 1
                """,
                "{{ $labels.instance }}: GPUs are not read",
                "Nothing is known of their memory and health. 'vllmd gpu' says why; try "
                "nvidia-smi.",
                wait="5m",
            ),
        ],
    )
