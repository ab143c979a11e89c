"""GPUs: a child process that reads NVML, and what its readings mean."""
