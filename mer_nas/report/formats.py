"""How numbers are written for people, in the page and in the Markdown alike."""

from collections.abc import Callable

from mer_nas.wording import metric, signed

NONE = "\N{EN DASH}"
"""Stands where there is no number."""


def _seconds(value: float) -> str:
    """Write a time as people say it.

    >>> _seconds(4.21), _seconds(90), _seconds(5400)
    ('4.2 s', '1 min 30 s', '1 h 30 min')
    """
    if value < 10:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _percent(value: float) -> str:
    """Write a share; little is not nothing, and nearly all is not all.

    >>> _percent(0.184), _percent(0.001), _percent(0), _percent(0.998)
    ('18 %', '< 1 %', '0 %', '> 99 %')
    """
    if 0 < value <= 0.005:
        return "< 1 %"
    return "> 99 %" if 0.995 <= value < 1 else f"{100 * value:.0f} %"


FORMATS: dict[str, Callable[[float], str]] = {
    "score": lambda value: f"{value:.3f}",
    "signed": lambda value: signed(value).replace("-", "\N{MINUS SIGN}"),
    "count": lambda value: f"{value:,}",
    "plain": lambda value: f"{value:g}",
    "rough": lambda value: f"{value:.3g}",
    "percent": _percent,
    "metric": metric,
    "ms": lambda value: f"{value:.1f} ms",
    "seconds": _seconds,
    "p": lambda value: f"{value:.2g}",
    "tiny": lambda value: f"{value:.1e}",
}
"""By the name that templates know them by."""
