"""What vllmd is where no service manager is: the first process of a container.

It is standard library only, and small: what it does must not fail.
"""
