"""`make fuzz`: damaged input for everything that reads what others wrote.

`targets/` has a file for each subject, `inputs` damages known input, `child` tries it within
`bounds`, `__main__` runs one target after another and says what was found and how to try it again.
"""
