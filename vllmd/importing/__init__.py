"""What served vLLM before vllmd, read: a command line, a launch script, a unit of systemd. Pure."""
