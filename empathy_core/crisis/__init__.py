"""Signs of suicide risk in a person's message, and ways to crisis help in a reply to it.

Rules that a reader can check by eye; they select and count, and judge nothing.
"""
