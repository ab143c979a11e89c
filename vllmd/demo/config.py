"""The configuration of `vllmd run --demo`."""

DEMO_CONFIG = """
[daemon]
listen = "127.0.0.1:9840"

[engines.demo]
model = "stand-in/tiny"
served_model_name = "tiny"
executable = "stand-in"
port = 8000
max_model_len = 4096
enable_prefix_caching = true
unready_s = 0

[engines.demo.lora]
modules = { sql = "/nonexistent/sql", support = "/nonexistent/support" }
"""

DEMO_GPUS = """
[gpu]
source = "demo"
"""
"""What is added to it where there is no GPU."""
