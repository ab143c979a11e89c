"""Traces: OTLP received from engines, turned into numbers, and passed on."""
