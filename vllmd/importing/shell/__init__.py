"""A reader of a stated subset of the shell: it follows what a launch script works out by itself.

Followed: assignments, arrays, defaults (``${X:-…}``), functions, loops over words, ranges, numbers
and arrays, conditions over known values, here-documents, and ``$(…)`` of what only handles texts.
Nothing is run. Whatever else a value is made of becomes a mark (`importing.unknown`), and whatever
else a command depends on is a problem with its line. Source: POSIX.1-2024, Shell Command Language;
bash(1).
"""
