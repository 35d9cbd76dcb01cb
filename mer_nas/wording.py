"""How quantities are said to people."""


def count(number: int, noun: str, several: str = "") -> str:
    """Return a number of things; `several` is the plural where that is not the noun and an s.

    >>> count(1, "seed"), count(3, "seed"), count(1200, "weight")
    ('1 seed', '3 seeds', '1,200 weights')
    """
    return f"{number:,} {noun_of(number, noun, several)}"


def noun_of(number: int, noun: str, several: str = "") -> str:
    """Return what so many things are called.

    >>> noun_of(0, "class", "classes")
    'classes'
    """
    return noun if number == 1 else several or f"{noun}s"


def duration(seconds: float) -> str:
    """Return seconds as people say them.

    >>> duration(42), duration(150), duration(7300)
    ('42 s', '2 min 30 s', '2 h 1 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole < 600 else f"{round(whole / 60)} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
