"""Nothing that turns bytes into code stands in the package but where it is named here."""

import ast
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

from mer_nas.config import presets
from mer_nas.errors import MerNasError
from mer_nas.export import load
from mer_nas.prediction.model import Model
from mer_nas.report import read_report
from mer_nas.search.ledger import read
from mer_nas.study.evaluate import read_evaluation
from mer_nas.study.folder import StudyFolder
from mer_nas.study.predictions import _made_from
from mer_nas.study.sessions import sessions

PACKAGE = Path(__file__).parents[1] / "mer_nas"
FORBIDDEN = (
    "eval", "exec", "compile", "__import__", "pickle", "cPickle", "cloudpickle", "ray.cloudpickle",
    "dill", "joblib", "shelve", "marshal", "runpy", "pkgutil.resolve_name", "importlib.abc",
    "importlib.machinery", "importlib.import_module", "importlib.util.spec_from_file_location",
    "importlib.util.spec_from_loader", "importlib.util.module_from_spec",
    "os.system", "os.popen", "numpy.load", "torch.load", "torch.jit", "torch.package", "torch.hub",
    "torch.utils.cpp_extension", "pandas", "yaml.load", "yaml.load_all",
    "yaml.full_load", "yaml.unsafe_load", "yaml.Loader", "yaml.FullLoader", "yaml.UnsafeLoader",
    "yaml.constructor",
)  # fmt: skip
"""Modules and functions, with everything below them, that can make code of what they are given."""
ALLOWED = {
    (
        "architectures/user_blocks.py",
        "torch.jit",
    ): "it is asked whether a part is one, to refuse it",
    ("architectures/beside.py", "importlib."): "files to which the user agreed",
    (
        "architectures/blocks/timm.py",
        "torch.load",
    ): "weights of the user's, with weights_only=True",
    ("cli/__init__.py", "importlib.import_module"): "verbs of its own",
    ("export/__init__.py", "importlib.import_module"): "modules of its own",
    ("training/weights.py", "torch.load"): "own temporary files, with weights_only=True",
    ("search/class_paths.py", "importlib.import_module"): "a class path, to which the user agreed",
    ("search/nodes.py", "importlib.import_module"): "modules of its own",
    ("search/tuning.py", "ray.cloudpickle"): "Ray's error file, in a folder of the user's alone",
    ("tracking/adapters.py", "importlib.import_module"): "MLflow and Weights & Biases, by name",
    ("study/frames.py", "pandas"): "tables are made, and none is read",
    ("api.py", "pandas"): "the type of these tables",
    ("data/preprocess/cache.py", "numpy.load"): "own prepared clips, which are no pickles",
}
"""By file and the beginning of a name, why it may stand there."""


def used(tree: ast.AST) -> Iterator[str]:
    """Yield everything a module names, by its full name."""
    known: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                known[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom):
            known |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
    yield from known.values()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute):
            first, dot, rest = ast.unparse(node).partition(".")
            if isinstance(node, ast.Attribute) or first not in known:
                yield f"{known.get(first, first)}{dot}{rest}"


def reached(tree: ast.AST) -> set[str]:
    """Return the forbidden names that a module uses; a method of the same name is none."""
    local = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} & {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    local |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    return {
        name
        for name in used(tree)
        for bad in FORBIDDEN
        if (name == bad or name.startswith(f"{bad}.")) and name.partition(".")[0] not in local
    }


def test_nothing_in_the_package_makes_code_of_bytes_but_what_is_named_here() -> None:
    left, seen = set(), set()
    for file in sorted(PACKAGE.rglob("*.py")):
        place = file.relative_to(PACKAGE).as_posix()
        for name in reached(ast.parse(file.read_text(encoding="utf-8"))):
            reason = {key for key in ALLOWED if key[0] == place and name.startswith(key[1])}
            seen |= reason
            if not reason:
                left.add((place, name))
    assert left == set()
    assert seen == ALLOWED.keys()


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("import pickle\npickle.loads(b'')", "pickle.loads"),
        ("from pickle import loads as read\nread(b'')", "pickle.loads"),
        ("import numpy as np\nnp.load('a', allow_pickle=True)", "numpy.load"),
        ("import yaml\nyaml.load('a', yaml.Loader)", "yaml.load"),
        ("def f(x):\n    return eval(x)", "eval"),
    ],
)
def test_the_search_finds_what_it_looks_for(code: str, name: str) -> None:
    assert name in reached(ast.parse(code))
    assert reached(ast.parse("network.eval()\njson.loads('1')")) == set()


def test_weights_are_read_as_weights() -> None:
    tree = ast.parse((PACKAGE / "training" / "weights.py").read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    (read,) = [call for call in calls if ast.unparse(call.func) == "torch.load"]
    assert "weights_only=True" in map(ast.unparse, read.keywords)


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> object:
        return (Path.touch, (self.file,))


YAML = "!!python/object/apply:pathlib.Path.touch [{file}]\n"


@pytest.mark.parametrize("form", ["pickle", "yaml"])
def test_no_exchanged_file_runs_code(tmp_path: Path, form: str) -> None:
    ran, folder = tmp_path / "ran", tmp_path / "study"
    folder.mkdir()
    trap = pickle.dumps(Trap(ran)) if form == "pickle" else YAML.format(file=ran).encode()
    for name in (
        "settings.yaml", "origin.json", "sessions.jsonl", "ledger.jsonl", "report.json",
        "evaluation.json", "predictions.parquet", "model.yaml", "model.onnx", "model.safetensors",
    ):  # fmt: skip
        (folder / name).write_bytes(trap)
    study = StudyFolder(folder)
    readers = (
        study.settings,
        study.origin,
        lambda: read(study.ledger),
        lambda: read_report(folder / "report.json"),
        lambda: read_evaluation(folder / "evaluation.json"),
        lambda: load(folder),
        lambda: Model.open(folder),
        lambda: presets.read("space", str(folder / "settings.yaml")),
    )
    for reader in readers:
        with pytest.raises(MerNasError):
            reader()
    assert _made_from(study.predictions) is None
    assert sessions(study).seconds == 0  # a line that is damaged is left out
    assert not ran.exists()
    pickle.loads(pickle.dumps(Trap(ran)))
    assert ran.exists()  # the trap works
