"""What was agreed to is remembered by its content; what was not does not happen."""

import hashlib
import py_compile
import stat
from pathlib import Path

import pytest

from mer_nas import trust
from mer_nas.architectures import load_extensions
from mer_nas.config.base import MAX_NAME, Config, Name, validate
from mer_nas.errors import ConfigError, Untrusted


@pytest.fixture(autouse=True)
def nobody_agreed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MER_NAS_CONFIG", str(tmp_path / "own"))
    monkeypatch.setattr(trust, "_agreed", set())


def forget_this_process() -> None:
    trust._agreed.clear()


WISH = trust.Wish("0" * 64, "run the Python file blocks.py")


def test_what_nobody_agreed_to_is_refused_with_what_it_is() -> None:
    with pytest.raises(Untrusted, match=r"run the Python file blocks\.py\n.*--trust \(trust=True"):
        trust.require([WISH])


def test_a_path_cannot_add_lines_to_the_question() -> None:
    asked: list[str] = []
    wish = WISH._replace(text="run the Python file a\n  and nothing else\x1b[2J\u202e.py")
    with trust.asking(lambda text: bool(asked.append(text))), pytest.raises(Untrusted) as caught:
        trust.require([wish])
    shown = r"  run the Python file a\n  and nothing else\x1b[2J\u202e.py"
    assert asked == [shown]
    assert shown in str(caught.value)


def test_what_was_agreed_to_is_not_asked_again_in_another_process() -> None:
    with trust.asking(True):
        trust.require([WISH])
    forget_this_process()
    trust.require([WISH])


def test_another_content_is_asked_again() -> None:
    with trust.asking(True):
        trust.require([WISH])
    with pytest.raises(Untrusted):
        trust.require([WISH._replace(digest="1" * 64)])


def test_a_no_is_not_remembered_and_leaves_nothing(tmp_path: Path) -> None:
    asked: list[str] = []
    for _ in range(2):
        with trust.asking(lambda text: bool(asked.append(text))), pytest.raises(Untrusted):
            trust.require([WISH])
    assert asked == [f"  {WISH.text}"] * 2
    assert not list((tmp_path / "own").rglob("0*"))


def test_agreements_are_the_users_alone(tmp_path: Path) -> None:
    trust.agree(*WISH)
    (kept,) = (tmp_path / "own" / "trusted").iterdir()
    assert kept.name == WISH.digest
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700


def test_a_home_that_cannot_be_written_holds_for_the_process(tmp_path: Path) -> None:
    (tmp_path / "own").write_text("no folder")
    trust.agree(*WISH)
    trust.require([WISH])
    forget_this_process()
    with pytest.raises(Untrusted):
        trust.require([WISH])


def test_a_file_wishes_to_run_by_its_content(tmp_path: Path) -> None:
    file = tmp_path / "blocks.py"
    file.write_bytes(b"abc")
    assert trust.Wish.to_run(file).digest == hashlib.sha256(b"abc").hexdigest()


@pytest.mark.usefixtures("registries")
def test_what_runs_is_the_text_that_was_agreed_to_and_no_compiled_file_beside_it(
    tmp_path: Path,
) -> None:
    file, ran = tmp_path / "blocks.py", tmp_path / "ran"
    file.write_text(f"open({str(ran)!r}, 'w').close()")
    py_compile.compile(str(file), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    file.write_text("harmless = 1")
    load_extensions([file])
    assert not ran.exists()


class Named(Config):
    name: Name


@pytest.mark.parametrize(
    "name", ["moe", "Größe 2", "微表情", "a.b", "x" * MAX_NAME, "100%20 done"]
)
def test_a_name_may_have_letters_of_any_script(name: str) -> None:
    assert validate(Named, {"name": name}, "study").name == name


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("x/../../out", "a name and no path; '/'"),
        ("..\\out", r"a name and no path; '\\\\'"),
        ("c:x", "a name and no path; ':'"),
        ("..", "begins and ends with a letter"),
        (".hidden", "begins and ends with a letter"),
        ("-rf", "begins and ends with a letter"),
        ("~root", "begins and ends with a letter"),
        ("end.", "begins and ends with a letter"),
        ("", "begins and ends with a letter"),
        ("a\nb", r"'\\n' has no place"),
        ("a\x1b[2Jb", r"'\\x1b' has no place"),
        ("a\u202eb", r"'\\u202e' has no place"),
        ("NUL.txt", "no file on some systems"),
        ("Aux .1", "no file on some systems"),
        ("com¹", "no file on some systems"),
        ("ß" * MAX_NAME, f"{2 * MAX_NAME} bytes; at most {MAX_NAME}"),
    ],
)
def test_a_name_is_no_path(name: str, wrong: str) -> None:
    with pytest.raises(ConfigError, match=rf"study\.name: .*{wrong}"):
        validate(Named, {"name": name}, "study")
