"""Telling others how the daemon fares."""
