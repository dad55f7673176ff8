"""Personal data in texts, found by patterns: counted before anything is spent, replaced if asked.

Rules that a reader can check by eye. What has a form is found: addresses of e-mail, numbers with a
checksum, names where a text says that a name follows. What only a reader understands is not: a name
in the middle of a sentence, a place, an employer, an age, a story that only one person can tell. So
a text in which nothing is found is not anonymous.
"""
