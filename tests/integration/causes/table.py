"""Every alert: what is done to a running system so that it fires, or why nothing is."""

from collections.abc import Mapping

PROVOKED: Mapping[str, str] = {
    # test_engine_causes.py: engines of one host, as processes
    "VllmdDown": "the daemon is killed",
    "VllmdEngineDown": "its core is killed; it waits ten minutes for its next start",
    "VllmdEngineHeld": "its program is not there",
    "VllmdEngineStalled": "its core is stopped (SIGSTOP) with a request in flight",
    "VllmdEngineLoadStalled": "its load stands still",
    "VllmdEngineRestartLoop": "its core is killed five times",
    "VllmdEngineNotReady": "its load takes days",
    "VllmdWrongAnswers": "its probabilities become others while it serves",
    "VllmdRequestsLost": "its core is killed with a request in flight",
    "VllmdDaemonFailed": "the daemon is killed, and comes back",
    # test_gpu_causes.py: GPUs of a scripted NVIDIA library under the real pynvml
    "VllmdVramOrphan": "a process that was an engine's holds 30 GiB",
    "VllmdVramForeign": "a process outside vllmd holds 3 GiB",
    "VllmdEngineAwaitsMemory": "a process outside vllmd holds 100 GiB before the first start",
    "VllmdVramRestartWontFit": "a process outside vllmd holds 75 GiB beside an engine",
    "VllmdVramLeak": "the engine's core takes half a GiB every quarter of an hour",
    "VllmdVramExhaustion": "the same, where little is left",
    "VllmdGpuLost": "NVML answers that the GPU is lost",
    "VllmdGpuMissing": "NVML lists one GPU less, and the daemon starts anew",
    "VllmdGpuXidFatal": "Xid 79",
    "VllmdGpuXidNotCleared": "Xid 79, of a driver that says nothing of recovery",
    "VllmdGpuXidRestart": "Xid 31",
    "VllmdGpuRecoveryAction": "the driver asks for a reset",
    "VllmdGpuEccUncorrected": "two uncorrected ECC errors",
    "VllmdGpuEccNotCleared": "two of them, an hour and a half ago",
    "VllmdGpuRowRemapFailed": "no spare rows are left",
    "VllmdGpuRowRemapPending": "rows are to be replaced",
    "VllmdGpuThrottled": "twelve seconds of a minute at a lower clock, for heat",
    "VllmdGpuPcieDegraded": "8 of 16 lanes",
    "VllmdDriverMismatch": "NVML refuses, as after an upgrade of the driver",
    "VllmdGpuReaderDown": "NVML does not answer any more",
    # test_serving_causes.py: an engine, and requests that ask for faults of its page
    "VllmdTtftBudgetBurn": "one in four first tokens is late",
    "VllmdTtftBudgetSlowBurn": "one in twenty is",
    "VllmdItlBudgetBurn": "tokens of one in four requests are late",
    "VllmdItlBudgetSlowBurn": "tokens of one in twenty are",
    "VllmdQueueSlow": "one in four requests waits for half a minute",
    "VllmdQueueStuck": "a request that does not end, and five behind it, one after the other",
    "VllmdKvCacheSaturated": "a prompt that takes 99 % of it, and two requests that wait",
    "VllmdPreemptions": "one in four requests is preempted",
    "VllmdRequestErrors": "vLLM gives up on one in four",
    "VllmdHttpErrors": "one in four is answered with 500",
    "VllmdRejections": "eight requests a minute are turned away",
    "VllmdAdapterNotLoaded": "its files are gone, and it was unloaded behind vllmd's back",
    "VllmdAdapterStale": "its files change",
    "VllmdCostAboveBudget": "a budget of a cent, by a reload",
    "VllmdMetricsDrift": "vLLM's page lacks a metric",
    "VllmdPageUnread": "vLLM's page is answered with 500",
    # test_host_causes.py: a host whose log is on a small disk
    "VllmdDiskFull": "3 % of the disk are left",
    "VllmdDiskFilling": "less every quarter of an hour",
    "VllmdHostMemoryLeak": "a child of the engine takes memory, less than is told by default",
    "VllmdLogsDropped": "the disk is full, and the engine prints",
    "VllmdHistoryDropped": "a folder is in the place of the history",
    "VllmdOtlpDropped": "the collector of traces refuses spans",
    "VllmdNotificationsFailed": "the webhook refuses notices",
    "VllmdConfigRefused": "half a line of TOML, and SIGHUP",
    "VllmdConnectionsFull": "400 connections that say nothing",
    "VllmdLate": "the daemon is stopped (SIGSTOP) for three seconds",
    # test_weights_causes.py: an engine whose weights are kept (preload)
    "VllmdWeightsLost": "what keeps them is killed",
    "VllmdWeightsUnresponsive": "their shim is stopped (SIGSTOP), and the daemon starts anew",
    # test_kernel_causes.py: a daemon with mounts of its own
    "VllmdHostMemoryLow": "/proc/meminfo says that little is left, of a GPU that shares it",
    "VllmdDiskStalled": "a file system (FUSE) whose server never answers, over the folder of logs",
    "VllmdCollectorFailed": "/proc/PID/limits has a word where a number is expected",
    "VllmdPartFailed": "it may open no further file (RLIMIT_NOFILE)",
    # test_prometheus_causes.py
    "VllmdAbsent": "Prometheus' configuration has another job only",
}
"""By a test of this folder, which asks Prometheus' rules about the page that comes of it."""

NOT_PROVOKED: Mapping[str, str] = {
    "VllmdAnswersUnchecked": "one that refuses probes for an hour: tests/unit/probe/test_prober.py",
    **dict.fromkeys(
        ("VllmdReplicasNone", "VllmdReplicasLow", "VllmdVersionsDiffer"),
        "of several hosts, whose causes are in tests/several_hosts/test_replicas_alerts.py",
    ),
    "VllmdGroupIncomplete": "of several hosts: tests/several_hosts/test_group_alerts.py",
    "VllmdWatchdog": "it fires always: test_notified.py sees it",
}
"""Why nothing is done to a running system, and where it is seen."""
