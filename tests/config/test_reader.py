"""What a text may say, and what of it is refused before it costs anything."""

from typing import Any

import pytest

from mer_nas.config import presets, reader


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[off, no, yes, on, y, 007, 1:30, 2026-01-01, 0b11]", "the texts that stand there"),
        ("[true, False, null, ~, 3, 0x1F, 1_000]", [True, False, None, None, 3, 31, 1000]),
        ("[1e-4, .5, -1., +2E3]", [1e-4, 0.5, -1.0, 2000.0]),
        ("a: ${oc.env:HOME}", {"a": "${oc.env:HOME}"}),
        ("{a: &x {b: 1}, c: {<<: *x, d: 2}}", {"a": {"b": 1}, "c": {"b": 1, "d": 2}}),
    ],
)
def test_numbers_and_truth_values_are_those_of_yaml_1_2(text: str, value: Any) -> None:
    if isinstance(value, str):
        value = text.strip("[]").split(", ")
    found = reader.load(text)
    assert found == value
    assert repr(found) == repr(value)


@pytest.mark.parametrize("word", ["off", "no", "true", "null", "1e5", "007", "12", "0x1F", ".nan"])
def test_keys_and_names_are_the_texts_that_stand_there(word: str) -> None:
    tree = {word: 1, "name": word, "row": [{"point": word}]}
    text = f"{word}: 1\nname: {word}\nrow: [{{point: {word}}}]"
    assert reader.load(text) == tree == reader.load(presets.dump(tree))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: !!float abc", "line 1: 'abc' is no float"),
        ("a: !!python/object:os.system {}", "line 1: !!python/object:os.system: texts, num"),
        ("a: 1\n\nb: .nan", "line 3: .nan is no finite number"),
        ("a: 1e999", "line 1: 1e999 is no finite number"),
        ("a: 1" + "0" * 5000, "line 1: a whole number of more than 64 bits"),
        ("[" * 500, "line 1: nested deeper than 100 levels"),
        ("a: &a [*a]", "line 1: nested deeper than 100 levels"),
        ("a: 1\nb: 2\na: 3", "line 3: found duplicate key a"),
        ("{1: a, '1': b}", "line 1: found duplicate key 1"),
        ("? [a]\n: b", "line 1: a key is a text"),
        (r'a: "\e[2J"', "line 1: the character U+001B in a text"),
        (r'a: "\ud800"', "line 1: the character U+D800 in a text"),
        (r'a: "\UFFFFFFFF"', "a character that there is not"),
        ("x" * (reader.MAX_LENGTH + 1), "1,048,577 characters, of which at most 1,048,576"),
    ],
)
def test_what_is_no_plain_value_is_refused_with_its_line(text: str, problem: str) -> None:
    with pytest.raises(reader.Unreadable) as refused:
        reader.load(text)
    assert str(refused.value).startswith(problem)


def test_an_alias_that_stands_for_very_many_values_is_refused() -> None:
    ten = "[" + ", ".join(["*{0}"] * 10) + "]"
    lines = ["a: &a [1, 2, 3]"] + [
        f"{b}: &{b} {ten.format(a)}" for a, b in zip("abcdef", "bcdefg", strict=True)
    ]
    with pytest.raises(reader.Unreadable, match="more than 100,000 values"):
        reader.load("\n".join(lines))
