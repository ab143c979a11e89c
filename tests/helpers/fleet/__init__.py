"""Hosts that never ran: their pages are rendered by the real collectors, on a clock of their own.

A scene lets some of them live for an hour, in seconds: nothing is waited for, and two runs give the
same samples. `storage.py` puts these into a real Prometheus.
"""
