"""What was prepared is found again, whole, whoever wrote it and whatever happened to the files."""

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from mer_nas.data.preprocess.cache import ABANDONED, Cache
from mer_nas.errors import DataError

KEYS = tuple(Cache.key([f"clip {number}"]) for number in range(5))


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache.open(tmp_path / "cache")


@pytest.fixture
def full(cache: Cache) -> Cache:
    """A cache with five entries; entry n is full of n."""
    for number, key in enumerate(KEYS):
        cache.keep(key, np.full((3, 4, 4), number, np.float32))
    return cache


def spoil(file: Path, at: int = -100) -> None:
    content = bytearray(file.read_bytes())
    content[at] ^= 1
    file.write_bytes(content)


def file_of(cache: Cache, part: str, key: str) -> Path:
    (found,) = (cache.folder / part).rglob(f"{key}.npy")
    return found


def test_an_entry_comes_back_as_it_was_and_none_where_there_is_none(cache: Cache) -> None:
    array = np.random.default_rng(0).standard_normal((2, 3, 5)).astype(np.float32)
    assert cache.entry(KEYS[0]) is None
    cache.keep(KEYS[0], array)
    found = cache.entry(KEYS[0])
    assert found is not None
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, array)


def test_a_file_is_an_ordinary_npy_file_with_its_checksum_behind(full: Cache) -> None:
    file = file_of(full, "entries", KEYS[3])
    np.testing.assert_array_equal(np.load(file), np.full((3, 4, 4), 3))
    assert file.stat().st_size == 128 + 3 * 4 * 4 * 4 + 32


def test_a_set_is_its_entries_in_order_mapped_and_not_to_be_changed(full: Cache) -> None:
    assert full.set(KEYS) is None
    assert full.join(KEYS) == ()
    found = full.set(KEYS)
    assert found is not None
    assert found.shape == (5, 3, 4, 4)
    assert found[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4]
    assert isinstance(found.base, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        found[0] = 1
    assert full.set(KEYS[::-1]) is None


@pytest.mark.parametrize("at", [0, 70, -100, -1])
def test_one_wrong_bit_anywhere_makes_an_entry_missing(full: Cache, at: int) -> None:
    spoil(file_of(full, "entries", KEYS[2]), at)
    assert full.entry(KEYS[2]) is None
    assert full.join(KEYS) == (KEYS[2],)
    assert full.set(KEYS) is None


@pytest.mark.parametrize("length", [0, 10, 140])
def test_a_file_that_was_cut_off_is_missing(full: Cache, length: int) -> None:
    os.truncate(file_of(full, "entries", KEYS[2]), length)
    assert full.entry(KEYS[2]) is None


def test_a_damaged_set_is_joined_again_from_its_entries(full: Cache) -> None:
    full.join(KEYS)
    spoil(file_of(full, "sets", Cache.key(KEYS)))
    assert full.set(KEYS) is None
    assert full.join(KEYS) == ()
    found = full.set(KEYS)
    assert found is not None
    assert found[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4]


def test_a_key_changes_with_every_part_and_their_order() -> None:
    assert (
        len({Cache.key(parts) for parts in (["a", "b"], ["b", "a"], ["ab"], ["a", "", "b"])}) == 4
    )
    assert len(Cache.key(["a"])) == 40


WRITER = """
import sys
from pathlib import Path
import numpy as np
from mer_nas.data.preprocess.cache import Cache
cache, keys = Cache.open(Path(sys.argv[1])), sys.argv[2:]
print("ready", flush=True)
sys.stdin.readline()
for _ in range(20):
    for number, key in enumerate(keys):
        cache.keep(key, np.full((3, 64, 64), number, np.float32))
        assert cache.entry(key) is not None
    assert cache.join(keys) == ()
"""


def test_processes_that_write_the_same_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    words = [sys.executable, "-c", WRITER, str(tmp_path), *KEYS]
    writers = [
        subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.communicate("go\n", timeout=600)
    assert [writer.returncode for writer in writers] == [0, 0]
    found = Cache.open(tmp_path).set(KEYS)
    assert found is not None
    assert found[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4]
    assert not list((tmp_path / "unfinished").iterdir())


def test_what_was_never_finished_is_cleared_away_once_it_is_old(tmp_path: Path) -> None:
    Cache.open(tmp_path)
    old, new = tmp_path / "unfinished" / "old", tmp_path / "unfinished" / "new"
    for file in (old, new):
        file.write_text("half")
    os.utime(old, (time.time() - ABANDONED - 60,) * 2)
    Cache.open(tmp_path)
    assert not old.exists()
    assert new.exists()


def test_a_write_that_fails_leaves_nothing_behind_and_says_why(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "replace", full_disk)
    with pytest.raises(DataError, match=r"a prepared clip cannot be kept: no space left on devic"):
        cache.keep(KEYS[0], np.zeros(3, np.float32))
    assert cache.entry(KEYS[0]) is None
    assert not list((cache.folder / "unfinished").iterdir())


def test_a_folder_that_cannot_be_written_is_refused_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(
        DataError,
        match=r"file/cache: prepared clips cannot be kept here: not a directory; data\.cache=DIR "
        r"names another folder",
    ):
        Cache.open(tmp_path / "file" / "cache")


def test_the_cache_lies_where_the_system_wants_caches(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    assert Cache.open().folder == tmp_path / "caches" / "mer-nas"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Cache.open().folder == tmp_path / ".cache" / "mer-nas"
