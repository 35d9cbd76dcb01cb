"""How quantities are said to people, and things to whoever looks at them in a notebook."""

import re
import reprlib
from collections.abc import Iterable

_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxtuple, _SHORT.maxlist, _SHORT.maxdict = 2, 3, 3, 3
_SHORT.maxstring = _SHORT.maxother = 60


def brief(kind: object, facts: Iterable[tuple[str | None, object]], most: int = 300) -> str:
    """Return what an object shows of itself: its type and its first facts, shortened.

    Args:
        kind: The object.
        facts: Each with its name, as many as there are.
        most: Characters, about.

    >>> brief(7, [("digits", 1), ("factors", tuple(range(90)))])
    'int(digits=1, factors=(0, 1, 2, ...))'
    """
    said, length = [], 0
    for name, value in facts:
        said.append(_SHORT.repr(value) if name is None else f"{name}={_SHORT.repr(value)}")
        length += len(said[-1]) + 2
        if length > most:
            said[-1] = "..."
            break
    return f"{type(kind).__name__}({', '.join(said)})"


def some(names: Iterable[str], most: int = 10) -> str:
    """Return the first `most` names in one line, with dots where there are more.

    >>> some("abc", most=2)
    'a, b, ...'
    """
    listed = list(names)
    return ", ".join(listed[:most] + ["..."] * (len(listed) > most))


def numberless(reason: str) -> str:
    """Return a reason without its numbers, so that like reasons count together.

    >>> numberless("1,683 weights, at most 1,000")
    '# weights, at most #'
    """
    return re.sub(r"\d[\d,.]*", "#", reason)


def lines(texts: Iterable[str], most: int = 10) -> str:
    """Return the first `most` texts below one another, indented, with dots where there are more.

    >>> lines("abc", most=2).split()
    ['a', 'b', '...']
    """
    listed = list(texts)
    return "\n  ".join(listed[:most] + ["..."] * (len(listed) > most))


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


def signed(value: float) -> str:
    """Return a difference with its sign and three digits; what rounds to nothing has none.

    >>> signed(0.0312), signed(-0.0004), signed(-0.25)
    ('+0.031', '0.000', '-0.250')
    """
    text = f"{value:+.3f}"
    return text if float(text) else "0.000"


def between(low: float, high: float) -> str:
    """Return where a score lies.

    >>> between(0.6684, 0.859)
    '[0.668, 0.859]'
    """
    return f"[{low:.3f}, {high:.3f}]"


def ahead(lead: float, low: float, high: float) -> str:
    """Return by how much one is ahead of another, and where that lies.

    >>> ahead(-0.008, -0.0291, 0.0122)
    '-0.008 [-0.029, +0.012]'
    """
    return f"{signed(lead)} [{signed(low)}, {signed(high)}]"


def metric(value: float) -> str:
    """Return a number with the unit of its size.

    >>> metric(318_463), metric(2e7), metric(999_600), metric(0.003), metric(5)
    ('318 k', '20 M', '1 M', '0.003', '5')
    """
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= 0.9995 * size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.4g}"


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
