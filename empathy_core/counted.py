"""How many of what, in words: ``1 task``, ``1,234 tasks``. Pure."""


def counted(n: int, noun: str, plural: str = "") -> str:
    """Return a number of things with their noun.

    Args:
        n: How many.
        noun: In the singular, such as ``array task``.
        plural: Empty means *noun* with an s.
    """
    return f"{n:,} {noun if n == 1 else plural or f'{noun}s'}"
