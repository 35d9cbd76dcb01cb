"""What a study says when its folder or its database goes on no longer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mer_nas.errors import MerNasError, StudyError
from mer_nas.files import refused
from mer_nas.search.ledger import read
from mer_nas.search.storage import refusal
from mer_nas.study.folder import StudyFolder


@contextmanager
def kept(folder: StudyFolder) -> Iterator[None]:
    """Make of a full disk or a locked database one message that says what is kept.

    Raises:
        StudyError: The disk or the database did not do what a `with` statement asked of it.
    """
    try:
        yield
    except MerNasError:
        raise
    except Exception as error:
        if (said := _said(error, folder)) is None:
            raise
        rest = f"what was finished is kept, and `{folder.resume}` goes on from there"
        begun = folder.ledger.is_file() and read(folder.ledger)
        raise StudyError(f"{said}; {rest if begun else 'no fold was finished yet'}") from error


def _said(error: Exception, folder: StudyFolder) -> str | None:
    if isinstance(error, OSError):
        said = refused(error)
        if said is None and isinstance(error, (IsADirectoryError, NotADirectoryError)):
            said = f"{error.filename}: {str(error.strerror).lower()}; delete it"
        return said if said is None or error.filename else f"{folder.path}: {said}"
    said = refusal(error)
    return said and f"{folder.path}: the database of its trials: {said}"
