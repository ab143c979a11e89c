"""Commands that start no engine, and those that run containers. Pure."""

HARMLESS = frozenset(
    {"echo", "printf", "sleep", "wait", "trap", "mkdir", "date", "logger", "clear", "jobs", "tput"}
    | {"pwd", "which", "type", "hash", "shopt", "umask", "disown", "tail", "less", "nvidia-smi"}
    | {"grep", "pgrep", "ps", "cat", "tee", "rm", "touch", "chmod", "chown", "curl", "wget"}
    | {"free", "df", "lsof", "ss", "netstat", "head", "sed", "awk", "seq"}
    | {"ls", "deactivate", "popd", "fuser", "nc", "jq", "sort", "wc", "fg", "bg", "local", "docker"}
)
"""Commands that only print, wait or look: nothing of the engine depends on them."""
ONLY_SPEAK = frozenset({"pkill", "kill", "killall", "hf", "huggingface-cli"})
"""Commands that may name a server and start none."""
CONTAINER_ENGINES = frozenset({"docker", "podman", "nerdctl"})
