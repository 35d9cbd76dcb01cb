"""Who is one person, and what is one data set, whatever way a table writes it.

Everything that is said of a model rests on this: a person who is taken for two is learned from and
held out at once. Where the rule is known, names are brought to their normal form: the subjects of
a data set with a layout, and the names of these sets ("CASME II" is casme2). Elsewhere it is a
guess, and there are three cases:

    one person      the names differ in blanks, case, invisible characters, or in how Unicode
                    writes a letter or a digit: they are joined, and it is said
    not to be told  they differ in leading zeros ("01" and "1"), signs ("anna." and "anna"),
                    accents, letters of another alphabet that look alike, a word for a subject
                    ("sub1" and "1"), or as Excel writes a number ("1.0"): refused until somebody
                    decides
    two people      anything else

To join two people only makes folds coarser; to take one for two makes every score wrong. A person
keeps the name that was written first, so a table of one spelling keeps its names.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from mer_nas.data.annotations.layouts import Layout
from mer_nas.data.findings import Finding
from mer_nas.errors import DataError, MerNasError

_SHOWN = 5
"""Places that a message names of each spelling."""

KNOWN = {
    "casme": "casme casmei casme1",
    "casme2": "casme2 casmeii casme2raw casme2rawselected",
    "casme3": "cas(me)^3 cas(me)3 casme^3 casme3 casmeiii cas(me)^3parta cas(me)3parta",
    "casme_sq": "cas(me)^2 cas(me)2 casme^2 cas(me)sq casmesq casmesquared",
    "samm": "samm",
    "smic": "smic smichs",
    "smic_e": "smice smicehs smichse",
    "smic_vis": "smicvis",
    "smic_nir": "smicnir",
    "mmew": "mmew",
    "4dme": "4dme",
    "dfme": "dfme",
}
"""By layout, how its data set is written, in lower case and without blanks, hyphens and such."""
_SETS = {word: name for name, words in KNOWN.items() for word in words.split()}

_FORMS = {"smic": "s{:02d}"}
"""Normal forms of subjects in tables of several sets, where they are not those of the layout: as
MEGC 2019 has them."""

_WORDS = (
    {"s", "sub", "subj", "subject", "sbj", "sp", "spno", "test", "testperson"},
    {"p", "pp", "part", "participant", "person", "pers", "proband", "vp"},
    {"id", "no", "nr", "n", "number"},
)
"""Words before the number of a subject; those of one group, or one and none, say the same."""

_DECIDE = (
    "one person needs one spelling; two people need names that differ in more than zeros, signs, "
    "accents or a word such as sub"
)

_ALIKE = str.maketrans("асеіјорѕхуοαεικνρτυ", "aceijopsxyoaeiknptu")
"""Small letters of Cyrillic and Greek beside the Latin ones that they look like."""


@dataclass(frozen=True)
class Names:
    """What writings stand for."""

    of: Mapping[str, str]
    """By spelling, the name."""
    joined: Mapping[str, str]
    """By name with several spellings, these and where they stand."""
    unsure: tuple[str, ...]
    """Names of which it cannot be told whether they are one, where they stand, what to do."""

    @classmethod
    def settled(
        cls,
        writings: Iterable[tuple[str, str]],
        rule: Callable[[str], str | None] = lambda text: None,
    ) -> "Names":
        """Return what names stand for.

        Args:
            writings: Each name as it is written, and where.
            rule: Returns the normal form of a name, or None where none is known.
        """
        places: dict[str, list[str]] = defaultdict(list)
        for text, place in writings:
            places[text].append(place)
        names: dict[str, str] = {}
        spellings: dict[str, list[str]] = defaultdict(list)
        of = {}
        for text in places:
            known = rule(text)
            name = names.setdefault(known or plain(text).casefold(), known or _written(text))
            of[text] = name
            spellings[name].append(text)
        told = {
            name: _told({text: places[text] for text in spellings[name]}) for name in spellings
        }
        joined = {name: told[name] for name, texts in spellings.items() if len(texts) > 1}
        doubtful = ("; ".join(told[name] for name in group) for group in _doubtful([*told]))
        return cls(of, joined, tuple(f"{names}: {_DECIDE}" for names in doubtful))

    def joined_findings(self, kind: str, within: str = "") -> list[Finding]:
        """Return what is said of data sets or subjects that are written in several ways.

        Args:
            kind: "data sets" or "subjects".
            within: What stands before each name: "casme2:".
        """
        kind = f"{kind} written in several ways"
        return [
            Finding("warning", kind, f"{within}{name}", f"taken for one: {text}", True)
            for name, text in self.joined.items()
        ]


def plain(text: str) -> str:
    """Return a text without what cannot be seen: invisible characters, blanks, Unicode forms.

    >>> plain(" happiness\u200b"), plain("sub\uff11\u00a0 a")
    ('happiness', 'sub1 a')
    """
    seen = (c for c in unicodedata.normalize("NFKC", text) if unicodedata.category(c) != "Cf")
    return " ".join("".join(seen).split())


def data_set(text: str) -> str | None:
    """Return the layout's name of a data set that is known, however it is written.

    >>> data_set("CASME II"), data_set("casme_2"), data_set("CAS(ME)^2"), data_set("mine")
    ('casme2', 'casme2', 'casme_sq', None)
    """
    return _SETS.get(_run_together(text))


def subject_of(dataset: str, text: str) -> str | None:
    """Return the normal form of a subject in a table of several sets; None where no rule is known.

    >>> subject_of("casme2", "6"), subject_of("smic", "S6"), subject_of("mine", "6")
    ('sub06', 's06', None)
    """
    if dataset not in KNOWN or Layout.read(dataset).subject == "{}":
        return None
    layout = Layout.read(dataset)
    if dataset in _FORMS:
        layout = layout.model_copy(update={"subject": _FORMS[dataset]})
    return layout.subject_of(plain(text))


def refuse_shared(
    datasets: Iterable[str], place: str, error: type[MerNasError] = DataError
) -> None:
    """Refuse data sets that show the same people, who would be learned from and held out at once.

    Args:
        datasets: Their names.
        place: How the user knows who names them.
        error: What is raised then.
    """
    by_people: dict[str, list[str]] = defaultdict(list)
    for dataset in sorted(datasets):
        people = Layout.read(dataset).people if dataset in KNOWN else dataset
        by_people[people].append(dataset)
    for same in by_people.values():
        if len(same) > 1:
            raise error(
                f"{place}: {' and '.join(same)} show the same people, who would be learned from "
                "and held out at once; one of them would be right"
            )


def _run_together(text: str) -> str:
    return re.sub(r"[\s_\-./]+", "", plain(text).casefold())


def _written(text: str) -> str:
    return unicodedata.normalize("NFC", text.strip())


def _told(places: Mapping[str, Sequence[str]]) -> str:
    """Return spellings and where they stand; those that look the same by their code points.

    >>> _told({"01": ["line 2"], "1": ["line 3", "line 4"]})
    "'01' (line 2), '1' (line 3, line 4)"
    """
    looks = {unicodedata.normalize("NFC", text).translate(_ALIKE) for text in places}
    shown = repr if len(looks) == len(places) else ascii
    return ", ".join(
        f"{shown(text)} ({', '.join([*where[:_SHOWN], *['...'] * (len(where) > _SHOWN)])})"
        for text, where in places.items()
    )


def _doubtful(names: Sequence[str]) -> list[list[str]]:
    """Return names of which it cannot be told whether they are one person, in groups."""
    alike: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for name in names:
        word, rest = _kin(name)
        alike[rest].append((word, name))
    groups = []
    for found in alike.values():
        pairs = [pair for pair in combinations(found, 2) if _same(pair[0][0], pair[1][0])]
        if pairs:
            groups.append(list(dict.fromkeys(name for pair in pairs for _, name in pair)))
    return groups


def _kin(name: str) -> tuple[str, str]:
    """Return the word before the number of a subject, and what is left when doubtful marks go.

    >>> _kin("sub01"), _kin("S_1"), _kin("1.0"), _kin("Jos\u00e9."), _kin("006_1")
    (('sub', '1'), ('s', '1'), ('', '1'), ('', 'jose'), ('', '6-1'))
    """
    apart = unicodedata.normalize("NFKD", plain(name)).casefold().translate(_ALIKE)
    text = "".join(
        str(unicodedata.decimal(c, "")) or c for c in apart if not "\u0300" <= c <= "\u036f"
    )
    text = re.sub(r"[\W_]+$|^[\W_]+", "", unicodedata.normalize("NFC", text))
    text = re.sub(r"(?<![0-9])0+(?=[0-9])", "", text)
    if number := re.fullmatch(r"([^\W\d_]*)[\W_]*([0-9]+)(?:[.,]0{1,2})?", text):
        bare = re.sub("^0+(?=[0-9])", "", number[2])
        return number[1], bare
    text = re.sub(r"(?<=[0-9])[\W_]+(?=[0-9])", "-", text)
    return "", re.sub(r"[^\w-]|_|(?<![0-9])-|-(?![0-9])", "", text)


def _same(one: str, other: str) -> bool:
    """Return whether two words before a number may mean the same."""
    if one == other:
        return True
    groups = [group for group in _WORDS if {one, other} - {""} <= group]
    return bool(groups)
