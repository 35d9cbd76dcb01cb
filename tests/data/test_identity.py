"""One person has one name; where nobody can tell, it is asked."""

import pytest

from mer_nas.data.annotations.identity import Names, data_set, subject_of


def names(*written: str) -> list[str]:
    found = Names.settled((text, f"line {line}") for line, text in enumerate(written, start=2))
    return [found.of[text] for text in written]


def unsure(*written: str) -> tuple[str, ...]:
    return Names.settled(
        (text, f"line {line}") for line, text in enumerate(written, start=2)
    ).unsure


def test_names_of_one_spelling_are_kept_as_they_are() -> None:
    plain = ("sub07", "006", "Anna B", "été", "S01", "٣")
    assert names(*plain) == [*plain]
    assert not unsure(*plain)


@pytest.mark.parametrize(
    ("first", "other"),
    [
        ("Anna", "anna"),
        ("Anna", "Anna "),
        ("Anna B", "Anna\u00a0 B"),
        ("anna", "an\u200bna"),
        ("e\u0301te\u0301", "\u00e9t\u00e9"),
        ("12", "\uff11\uff12"),
        ("straße", "STRASSE"),
    ],
)
def test_blanks_case_and_forms_of_unicode_make_no_second_person(first: str, other: str) -> None:
    assert len(set(names(first, other, "somebody else"))) == 2
    assert not unsure(first, other)


@pytest.mark.parametrize(
    ("first", "other"),
    [
        ("01", "1"),
        ("1.0", "1"),
        ("sub1", "1"),
        ("sub-01", "s1"),
        ("Subject 3", "sub03"),
        ("S01", "s1"),
        ("anna.", "anna"),
        ("Anna B", "AnnaB"),
        ("anna_b", "anna-b"),
        ("José", "Jose"),
        ("\u0410nna", "Anna"),  # a Cyrillic A
        ("\u0661", "1"),  # an Arabic one
        ("x_01_2", "x-1-2"),
    ],
)
def test_a_guess_is_not_made(first: str, other: str) -> None:
    (text,) = unsure(first, other, "somebody else")
    assert "line 2" in text
    assert "line 3" in text
    assert "line 4" not in text


@pytest.mark.parametrize(
    ("first", "other"),
    [("a1", "b1"), ("s1", "s10"), ("s1", "p1"), ("1.10", "110"), ("06_1", "061"), ("か", "が")],
)
def test_two_people_stay_two(first: str, other: str) -> None:
    assert len(set(names(first, other))) == 2
    assert not unsure(first, other)


def test_spellings_that_look_the_same_are_shown_by_their_code_points() -> None:
    found = Names.settled([("e\u0301", "line 2"), ("\u00e9", "line 3")])
    assert [*found.joined.values()] == [r"'e\u0301' (line 2), '\xe9' (line 3)"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("CASME2", "casme2"),
        ("CASMEII", "casme2"),
        ("Casme-II ", "casme2"),
        ("CAS(ME)^2", "casme_sq"),
        ("CAS(ME)\u00b2", "casme_sq"),
        ("CAS(ME)3", "casme3"),
        ("SMIC-HS", "smic"),
        ("CASME", "casme"),
        ("mine", None),
    ],
)
def test_a_data_set_is_known_however_it_is_written(text: str, name: str | None) -> None:
    assert data_set(text) == name


def test_subjects_of_the_composite_keep_the_form_that_was_published() -> None:
    assert [
        subject_of(*pair) for pair in (("casme2", "sub06"), ("samm", "006"), ("smic", "s06"))
    ] == [
        "sub06",
        "006",
        "s06",
    ]
