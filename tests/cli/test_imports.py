"""What a command loads: nobody waits for torch who asks what there is."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from mer_nas import api
from mer_nas.cli import catalogue

HEAVY = ("torch", "ray", "optuna", "timm", "sklearn", "scipy", "matplotlib", "sqlalchemy")
COMMANDS = (
    "--help", "search --help", "list space", "list trainer", "list data", "list study",
    "list layouts", "show", "show space=hybrid study=standard trainer.lr=1e-3", "copy trainer=quick .",
    "completion bash", "schema trainer", "list points", "list blocks", "list",
)  # fmt: skip
"""Those that build no network; the last three once it is known what the networks come to."""


@pytest.fixture(autouse=True)
def own_of_a_test(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Keep nothing from test to test."""
    monkeypatch.setenv("MER_NAS_CONFIG", str(tmp_path / "own"))
    return tmp_path / "own"


def loaded_by(commands: tuple[str, ...], names: tuple[str, ...]) -> dict[str, list[str]]:
    """Return which of these packages each command has loaded, one after another in one process."""
    code = (
        "import json, sys\nfrom mer_nas.cli import main\nfound = {}\n"
        f"for words in {commands!r}:\n"
        "    main(words.split(), prog_name='mer-nas', standalone_mode=False)\n"
        f"    found[words] = [name for name in {names!r} if name in sys.modules]\n"
        "print(json.dumps(found), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, list[str]] = json.loads(done.stderr.splitlines()[-1])
    return found


def test_commands_that_build_no_network_load_neither_torch_nor_anything_else_that_takes_a_second(
    here: Path,
) -> None:
    for kind in ("points", "blocks"):
        catalogue.kept(kind, lambda: [{"name": "any", "text": "of before"}])
    assert loaded_by(COMMANDS, HEAVY) == {command: [] for command in COMMANDS}


def test_help_reads_no_settings(here: Path) -> None:
    assert loaded_by(("--help",), ("pydantic", "numpy", "rich.live")) == {"--help": []}


def test_what_is_kept_of_a_list_is_what_is_made(here: Path, call: Callable[..., Result]) -> None:
    made, kept = (call("list", "blocks", "--json").stdout for _ in range(2))
    assert made == kept
    assert {row["name"] for row in json.loads(made)["blocks"]} == {
        f"{slot}.{kind}" for slot, kinds in api.blocks().items() for kind in kinds
    }


def test_rows_of_other_code_and_rows_that_are_damaged_are_made_anew(
    monkeypatch: pytest.MonkeyPatch, own_of_a_test: Path
) -> None:
    assert catalogue.kept("points", lambda: [{"name": "a"}]) == [{"name": "a"}]
    assert catalogue.kept("points", lambda: [{"name": "b"}]) == [{"name": "a"}]
    with monkeypatch.context() as other:
        other.setattr(catalogue, "_digest", lambda: "of other code")
        assert catalogue.kept("points", lambda: [{"name": "b"}]) == [{"name": "b"}]
    assert catalogue.kept("points", lambda: [{"name": "c"}]) == [{"name": "c"}]
    (own_of_a_test / "catalogue" / "points.json").write_text('{"of": ')
    assert catalogue.kept("points", lambda: [{"name": "d"}]) == [{"name": "d"}]
