"""Small maps as drawings."""

import re

from mer_nas.report.page import FILTERS


def heatmap(rows: list[list[float]], low: float, high: float, title: str) -> str:
    """Return a map as the page has it."""
    return str(FILTERS["heatmap"](rows, low, high, title))


def test_the_lowest_value_is_white_and_the_highest_darkest_where_they_stand() -> None:
    drawing = heatmap([[0.2, 0.2, 0.9], [0.55, 0.2, 0.2]], 0.2, 0.9, "a map")
    assert 'viewBox="0 0 3 2"' in drawing
    shades = re.findall(r'<path opacity="([\d.]+)" d="([^"]*)"', drawing)
    (middle, somewhere), (darkest, top_right) = shades  # nothing is drawn where it is white
    assert (darkest, top_right) == ("0.90", "M2 0h1v1h-1z")
    assert somewhere == "M0 1h1v1h-1z"
    assert abs(float(middle) - 0.45) < 0.05


def test_a_map_without_differences_is_white() -> None:
    assert "<path" not in heatmap([[0.3, 0.3]], 0.3, 0.3, "flat")


def test_what_people_write_stays_a_name() -> None:
    assert "aria-label='a \"b\" &lt;c&gt;'" in heatmap([[1.0]], 0, 1, 'a "b" <c>')
