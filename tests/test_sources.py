"""What stands behind a module, and what a file means."""

import sys
from pathlib import Path

import pytest

from mer_nas import sources
from mer_nas.sources import behind, meaning

LAYER = b'''
"""A layer."""
from shop.tools import scaled

def layer(x):
    """Return twice x."""
    if x is None:
        raise ValueError("no x")
    return scaled(x, 2)  # twice
'''


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"""A layer."""', b'"""Another text."""'),
        (b'    """Return twice x."""\n', b""),
        (b"  # twice", b"  # two times"),
        (b"    if", b"\n\n    if"),
        (b"shop.tools", b"shop.gear"),
        (b'"no x"', b'"x is missing"'),
    ],
    ids=["docstring", "no docstring", "comment", "layout", "renamed file", "message"],
)
def test_what_python_does_not_run_has_no_meaning(old: bytes, new: bytes) -> None:
    assert old in LAYER
    assert meaning(LAYER.replace(old, new)) == meaning(LAYER)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"scaled(x, 2)", b"scaled(x, 3)"),
        (b"scaled(x, 2)", b"scaled(x, 2.0)"),
        (b"def layer(x)", b"def layer(x, y=1)"),
        (b"is None", b"is not None"),
        (b"ValueError", b"KeyError"),
        (b"import scaled", b"import other as scaled"),
        (b"def layer(x)", b"def layer(x: int)"),
    ],
)
def test_what_python_runs_has_a_meaning(old: bytes, new: bytes) -> None:
    assert meaning(LAYER.replace(old, new)) != meaning(LAYER)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a module that stands alone, whose imports lie in a package beside it."""
    files = {
        "own.py": "import math\nimport numpy\nfrom mer_nas import errors\nfrom shop import layer\n",
        "shop/__init__.py": "from shop.layers import layer\nfrom shop.unused import other\n",
        "shop/layers.py": "def layer(x):\n    from .tools import scaled\n    return scaled(x)\n",
        "shop/tools.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import shop.types\n",
        "shop/unused.py": "other = 1\n",
        "shop/types.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    for cached in (sources._installed, sources._origin):
        cached.cache_clear()
    yield tmp_path / "own.py"
    for name in [name for name in sys.modules if name.partition(".")[0] == "shop"]:
        del sys.modules[name]


def test_only_what_is_imported_and_what_no_distribution_brought_stands_behind(shop: Path) -> None:
    found = behind("own", shop)
    assert sorted(found) == ["mer_nas.errors", "own", "shop.layers", "shop.tools"]
    assert found["shop.tools"] == shop.parent / "shop" / "tools.py"


def test_a_module_that_is_put_aside_is_not_followed(shop: Path) -> None:
    assert sorted(behind("own", shop, aside=["shop.layers", "mer_nas.errors"])) == ["own"]
