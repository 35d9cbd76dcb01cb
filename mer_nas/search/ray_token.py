"""The token that Ray's processes and its dashboard ask for."""

import contextlib
import os
import uuid
from pathlib import Path

from mer_nas import files

MODE, TOKEN, PLACE = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
"""What Ray reads from the environment: whether it asks, the token, or the file that holds it."""


def token_file() -> Path:
    """Return where Ray keeps the token."""
    named = os.environ.get(PLACE)
    return Path(named) if named else Path.home() / ".ray" / "auth_token"


def shown_token() -> str:
    """Return where the token lies that the dashboard asks for; empty if it asks for none."""
    if os.environ.get(MODE, "").lower() != "token" or TOKEN in os.environ:
        return ""
    return str(token_file())


def own_token() -> str:
    """Return the user's token; empty if there is none."""
    if given := os.environ.get(TOKEN):
        return given.strip()
    try:
        return token_file().read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def protect_token() -> None:
    """Make the token that Ray would write itself, readable by everybody, readable by its owner."""
    if {TOKEN, PLACE} & os.environ.keys():
        return
    file = token_file()
    with contextlib.suppress(OSError):  # where nothing can be written there, Ray says so itself
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            files.write(file, uuid.uuid4().hex, mode=0o600)
        file.chmod(0o600)
