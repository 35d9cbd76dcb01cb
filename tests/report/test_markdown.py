"""What others wrote is a text in `report.md` and `card.md`: a reader sees it, and nothing of it acts."""

import json
from typing import Any

import pytest
from markdown_it import MarkdownIt

from mer_nas.report import StudySummary, build_report
from mer_nas.report.files import as_markdown
from mer_nas.templates import code, line, templates, text

HOSTILE = (
    "x | <script>a</script> <img src=x> [a](http://e) ![b](http://e/p) [c]: http://e `d` *e* __f__ "
    "_g_ ~~h~~ $i$ &lt; \\| \n# j\n\n- k\n\n1. l\n> m\n```\nn\n\t  o  \r\n---\n===\u2028p\x1b[0m ]"
)
READER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
SAID = {
    "name", "label", "origin", "title", "about", "source", "error", "command", "folder", "layer",
    "importance_note", "selection_note", "nested_note", "search_protocol", "final_protocol",
    "protocol", "pruner", "caveat", "code_version", "fingerprint", "part",
}  # fmt: skip


def shape(markdown: str) -> list[tuple[str, list[str]]]:
    """Return what a text is made of, but for its words."""
    return [
        (token.type, [child.type for child in token.children or () if child.type != "text"])
        for token in READER.parse(markdown)
    ]


def _said(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def spoiled(tree: Any) -> Any:
    """Return facts in which every word that people may choose is hostile."""
    if isinstance(tree, list):
        return [spoiled(item) for item in tree]
    if isinstance(tree, dict):
        return {
            key: f"{value} {HOSTILE}" if key in SAID and _said(value) else spoiled(value)
            for key, value in tree.items()
            if key != "datasets"  # these go by the names of subjects
        } | {key: value for key, value in tree.items() if key == "datasets"}
    return tree


@pytest.mark.parametrize(
    "said",
    [
        HOSTILE,
        *HOSTILE.split(),
        "# a",
        "- a",
        "+ a",
        "1. a",
        "2)",
        "=",
        "---",
        "    a",
        "a\n",
        "[]",
    ],
)
def test_a_text_is_one_piece_of_text_that_a_reader_sees_as_it_was(said: str) -> None:
    (_, words, _) = READER.parse(str(text(said)))
    assert [child.type for child in words.children or ()] == ["text"]
    plain = said.replace("\x1b", " ").replace("\u2028", " ")
    assert words.children is not None
    assert words.children[0].content == " ".join(plain.split())


def test_in_a_table_it_is_one_cell() -> None:
    table = READER.parse(f"| a | b |\n|---|---|\n| {text(HOSTILE)} | {text('c')} |\n")
    assert [token.type for token in table].count("td_open") == 2


@pytest.mark.parametrize("said", ["a", "`a`", "a ``b", HOSTILE])
def test_code_is_code_to_its_end(said: str) -> None:
    (_, words, _) = READER.parse(f"before {code(said)} after")
    assert [child.type for child in words.children or ()] == ["text", "code_inline", "text"]
    fenced = templates("mer_nas.export", html=False).filters["fenced"]
    (block,) = READER.parse(str(fenced(f"a: |\n  b\n{said}\n```\nc")))
    assert (block.type, block.content.endswith("```\nc\n")) == ("fence", True)
    (command,) = READER.parse(f"    mer-nas {line(said)}\n")
    assert command.type == "code_block"


def test_a_hostile_report_has_the_form_of_any_other(two_sets: StudySummary) -> None:
    tree = json.loads(two_sets.model_dump_json())
    kept = {"settings": tree["settings"], "environment": tree["environment"]}
    hostile = StudySummary.model_validate({**spoiled(tree), **kept})
    plain, other = as_markdown(build_report(two_sets)), as_markdown(build_report(hostile))
    assert "script" in other
    assert shape(other) == shape(plain)
