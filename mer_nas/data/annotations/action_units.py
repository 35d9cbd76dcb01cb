"""The cells in which coders of facial action units wrote what moved.

    cell   := int | token (sep token)* | '?' | '' | '/'
    sep    := '+' | ',' | the fullwidth comma of CAS(ME)^2 and CAS(ME)^3
    token  := ('AU' | 'AD' | 'M')? side? number intensity? | 'ref(' … ')' | free text
    side   := L(eft) | R(ight) | A(symmetric) | T(op) | B(ottom), also combined

Reading is tolerant, because the cells were typed by people: what holds no number is passed over,
and nothing makes it fail.

Sources: the columns of CASME II, SAMM and CAS(ME)^3; Ekman et al. 2002, Facial Action Coding
System, for sides and the intensities A to E.
"""

import re
from typing import NamedTuple

_TOKEN = re.compile(r"(?:AU|AD|M)?\s*([LRATB]*)\s*(\d{1,2})\s*([A-E](?![A-Za-z]))?")
_SEPARATORS = re.compile("[+,\uff0c]")
_OR = re.compile(r"\bor\b", re.IGNORECASE)


class ActionUnit(NamedTuple):
    """One action unit, or action descriptor, as a coder saw it."""

    number: int
    side: str = ""
    """"L", "R", "A", "T", "B" or letters of these; empty where both sides moved alike."""
    intensity: str = ""
    """"A" (trace) to "E" (maximum); empty where it was not coded."""

    def __str__(self) -> str:
        """Return it as coders write it: "L10", "15A"."""
        return f"{self.side}{self.number}{self.intensity}"


def read_action_units(cell: str) -> tuple[ActionUnit, ...] | None:
    """Return the action units of a cell, or None where the coder named none.

    Of alternatives ("R12 or R15") the first is taken; `has_alternatives` tells.

    >>> [str(unit) for unit in read_action_units("R14+17+soft focus")]
    ['R14', '17']
    >>> [str(unit) for unit in read_action_units("ref(7B)+43")]
    ['7B', '43']
    >>> read_action_units("?") is None
    True
    """
    first = _OR.split(cell)[0]
    found = (_TOKEN.search(part) for part in _SEPARATORS.split(first))
    units = tuple(ActionUnit(int(m[2]), m[1], m[3] or "") for m in found if m)
    return units or None


def has_alternatives(cell: str) -> bool:
    """Return whether the coder could not decide.

    >>> has_alternatives("R14A or 17A or 24A"), has_alternatives("4+L10")
    (True, False)
    """
    return bool(_OR.search(cell))
