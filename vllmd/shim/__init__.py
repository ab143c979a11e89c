"""The process beside each engine: spawns it, reaps its whole tree, keeps its output.

It is to vLLM what containerd-shim is to a container, and it must stay small (under 16 MB) and
alive through every upgrade of the rest: it imports the standard library only, and all of it at
its start. See `vllmd.shim.protocol` for what it reads and answers.
"""
