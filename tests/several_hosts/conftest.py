"""Loopback addresses as hosts: each has a vllmd of its own, on the same ports as all others."""
