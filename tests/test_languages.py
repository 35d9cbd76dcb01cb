"""What is written in Chinese says what the English page says: same commands, links, numbers."""

import posixpath
import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAIRS = {"README.md": "README.zh.md"} | {
    f"docs/{file.name}": f"docs/zh/{file.name}"
    for file in (ROOT / "docs" / "zh").glob("*.md")
    if file.stem != "index"
}


def read(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def sections(document: str) -> list[str]:
    """The text before the first heading of the second level, and that of each."""
    return re.split(r"^## .*$", read(document), flags=re.MULTILINE)


FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
INDENTED = re.compile("^    .*$", re.MULTILINE)


def code(text: str) -> list[str]:
    """All code, fenced or set in by four."""
    return [*FENCED.findall(text), *INDENTED.findall(FENCED.sub("", text))]


def prose(text: str) -> str:
    """What is not code."""
    return INDENTED.sub("", FENCED.sub("", text))


def links(document: str, text: str) -> Counter[str]:
    """Where links lead to, whatever the language; the page itself for a place in it."""
    found = Counter()
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        path = link.partition("#")[0]
        target = posixpath.normpath(posixpath.join(posixpath.dirname(document), path))
        found["itself" if not path else target.replace("docs/zh/", "docs/")] += 1
    return found


def quoted(text: str) -> Counter[str]:
    return Counter(re.findall(r"`([^`\n]+)`", prose(text)))


def numbers(text: str) -> Counter[str]:
    """Numbers of two digits or more, outside code and links."""
    plain = re.sub(r"`[^`]+`|\]\([^)]*\)", " ", prose(text))
    return Counter(re.findall(r"(?<![\d.,])\.?\d[\d.,]*\d", plain))


@pytest.mark.parametrize("english", PAIRS)
def test_both_languages_have_the_same_sections_commands_links_names_and_numbers(
    english: str,
) -> None:
    chinese = PAIRS[english]
    pairs = list(zip(sections(english), sections(chinese), strict=True))
    assert len(pairs) > 3
    for number, (one, other) in enumerate(pairs):
        assert code(one) == code(other), number
        mine, theirs = links(english, one), links(chinese, other)
        if number == 0:  # the head of each leads to the other
            assert mine.pop(chinese.replace("docs/zh/", "docs/"))
            assert theirs.pop(english)
        assert mine == theirs, number
        assert quoted(one) == quoted(other), number
        assert numbers(one) == numbers(other), number


@pytest.mark.parametrize("english", PAIRS)
def test_tables_and_lists_of_both_languages_are_as_long(english: str) -> None:
    for mark in (r"^\|", r"^\* ", r"^#"):
        lengths = [
            len(re.findall(mark, read(document), re.MULTILINE))
            for document in (english, PAIRS[english])
        ]
        assert lengths[0] == lengths[1], mark


@pytest.mark.parametrize("chinese", PAIRS.values())
def test_what_is_called_chinese_is_written_in_it(chinese: str) -> None:
    letters = re.sub(
        r"`[^`]+`|\]\([^)]*\)|^\|.*$|[^\w]|\d", "", prose(read(chinese)), flags=re.MULTILINE
    )
    written = [letter for letter in letters if "\u4e00" <= letter <= "\u9fff"]
    assert len(written) > 2 / 3 * len(letters)
