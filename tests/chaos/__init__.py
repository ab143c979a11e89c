"""Each fault in each state, seen from outside: `make chaos` makes them, and the table of them.

What observes is no part of vllmd: a client that counts what became of its requests, a Prometheus,
`/proc`, and whatever else shows that a fault is there (`Fault.seen`). A row whose fault was not
seen is a failed row: nothing is known by it.
"""
