"""The templates of pages and texts: Jinja, where a name that means nothing is an error."""

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined


@cache
def templates(package: str, *, html: bool) -> Environment:
    """Return the templates of a package, which are compiled once.

    Args:
        package: Where they lie, in its folder `templates`.
        html: Whether what is written is escaped for HTML.
    """
    return Environment(
        loader=PackageLoader(package),
        autoescape=html,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=not html,
    )
