"""One model over several hosts: which generation of a group runs, told by pages, without a vote.

The file fixes who is the head; the head's run id is the generation. Every vllmd reads the pages
`/groups/NAME` of the others and acts on its own engine only. `rules.py` decides, and is pure: all
its states are searched by `tests/helpers/group_search.py`. `peers.py` reads, `service.py` carries
out.
"""
