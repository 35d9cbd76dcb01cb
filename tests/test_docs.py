"""What the documentation says, done: its code runs, its keys and commands exist."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import get_args

import pytest
import yaml
from click.testing import Result

from mer_nas import api, architectures, testing
from mer_nas.cli import main
from mer_nas.config.overrides import parse
from mer_nas.config.presets import FOLDERS
from mer_nas.data.synthesis import Synthesis
from mer_nas.search.config import (
    FinalConfig,
    PrunerName,
    RayConfig,
    SamplerName,
    StudyConfig,
)
from mer_nas.testing import block_checks, check_block

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
GUIDES = sorted(
    file.relative_to(ROOT).as_posix()
    for file in ROOT.glob("docs/**/*.md")
    if file.stem != "index" and file.parent.name != "reference"
)
DOCUMENTS = ["README.md", "CONTRIBUTING.md", *GUIDES]
OWN_NETWORK = (ROOT / "docs" / "own_network.md").read_text(encoding="utf-8")
OWN_BLOCK = (ROOT / "docs" / "own_block.md").read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_the_python_of_the_readme_runs(
    here: Path,
    write_tiny: Callable[[Path], list[str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    (code,) = blocks(README, "python")
    words = write_tiny(here)
    smaller = [*words[1:], "data.subjects=3", "data.clips=12", "ray.workers=0"]
    prefix = ", ".join(f'"{word}"' for word in smaller)
    shorter, calls = re.subn(r"api\.(search|evaluate)\(", rf"api.\1({prefix}, ", code)
    assert calls == 2
    exec(shorter, {})
    said = capsys.readouterr().out.splitlines()
    score, _, folder = said[0].partition(" ")
    assert 0 <= float(score) <= 1
    assert folder == "runs/moe-faces-1"
    report = json.loads((here / folder / "report.json").read_text())
    assert float(score) == report["answer"]["uf1"]["mean"]
    assert said[1] == "('negative', 'positive', 'surprise')"
    protocol, _, uf1 = said[2].rpartition(" ")
    assert protocol == "3 subject groups"
    assert 0 <= float(uf1) <= 1


def test_the_block_of_ones_own_works_as_shown(
    here: Path,
    write_tiny: Callable[[Path], list[str]],
    call: Callable[..., Result],
    registries: None,
) -> None:
    (code, checks), (space,) = blocks(OWN_BLOCK, "python"), blocks(OWN_BLOCK, "yaml")
    (here / "halves.py").write_text(code)
    (here / "halves.yaml").write_text(space)
    shown = [shlex.split(line)[2:] for line in blocks(OWN_BLOCK, "console")[0].splitlines()]
    assert shown == [["check", "space=./halves.yaml"], ["search", "space=./halves.yaml"]]
    words = [*write_tiny(here)[1:], "ray.workers=0"]
    # A search whose only gate is the new one.
    use = [
        "space.architecture.paths.0.stages.each.gate=halves",
        "space.architecture.paths.0.stem.width=8",
        "study.trials=1",
        "study.final=none",
    ]
    best = "space=runs/halves-faces-1/best.yaml"
    commands = [
        [*shown[0], *words],
        ["list", "blocks", "--space", "./halves.yaml"],
        ["schema", "architecture", "--space", "./halves.yaml"],
        [*shown[1], *words, *use],
        ["evaluate", best, *words, "--json"],
    ]
    results = [call(*words) for words in commands]
    assert [result.exit_code for result in results] == [0] * len(commands)
    said = [result.stdout for result in results]
    assert "halves: well formed, 3 open parameters, 100 of 100 draws feasible" in said[0]
    assert re.search(r"gate\.halves +One learned weight for the upper and one", said[1])
    assert '"halves"' in said[2]
    answer = json.loads((here / "runs/halves-faces-1/report.json").read_text())["answer"]
    stages = answer["architecture"]["paths"][0]["stages"]
    assert [stage["gate"] for stage in stages] == [{"kind": "halves", "start": 1.0}] * 2
    assert json.loads(said[4])["uf1"] == answer["uf1"]["mean"]
    (here / "test_halves.py").write_text(checks)
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "test_halves.py"]
    alone = subprocess.run(command, capture_output=True, text=True)  # where nothing is loaded yet
    assert alone.returncode == 0, alone.stdout


def test_the_network_of_the_guide_is_shown_searched_and_kept_to_its_promises(
    here: Path,
    call: Callable[..., Result],
    write_tiny: Callable[[Path], list[str]],
    registries: None,
) -> None:
    (streams, pair), (space, inputs, paths) = (
        blocks(OWN_NETWORK, language) for language in ("python", "yaml")
    )
    (here / "streams.py").write_text(streams)
    (here / "pair.py").write_text(pair)
    (here / "streams.yaml").write_text(space)
    words = [*write_tiny(here)[1:], "ray.workers=0"]
    lines = blocks(OWN_NETWORK, "console")[0].splitlines()
    checked, shown, search = [shlex.split(line)[2:] for line in lines]
    few = ["study.trials=1", "study.final=none"]
    results = [call(*checked), call(*shown), call(*search, *words, *few)]
    assert [result.exit_code for result in results] == [0, 0, 0], results[-1].output
    assert "weights   1,683 trained" in results[1].stdout
    architectures.load_extensions([here / "pair.py"])
    for tree in (inputs, paths, "architecture: {network: {kind: pair}}"):
        architectures.parse(yaml.safe_load(tree)["architecture"])
    for kind in ("streams", "pair"):
        check_block("network", kind)


def test_the_promises_of_blocks_are_listed() -> None:
    table = OWN_BLOCK.partition("| check | what holds |")[2]
    listed = re.findall(r"^\| `(\w+)` \| (.*) \|$", table, re.MULTILINE)
    assert listed == [(str(check), check.promise) for check in block_checks("gate", "se")]


def test_every_key_in_the_table_of_the_readme_exists() -> None:
    rows = [line for line in README.splitlines() if line.startswith("| `")]
    keys = [key for row in rows for key in re.findall(r"`([a-z]+\.[a-z.]+)`", row.split("|")[1])]
    assert {"study.trials", "study.final", "ray.workers"} <= set(keys)
    models = {"study": StudyConfig, "ray": RayConfig}
    for key in keys:
        group, name = key.split(".", 1)
        assert name in models[group].model_fields, key
    values = dict(row.split("|")[1:3] for row in rows)
    for name, options in (("sampler", SamplerName), ("pruner", PrunerName)):
        (cell,) = [cell for key, cell in values.items() if f"study.{name}" in key]
        told = set(re.findall(r"`([a-z]+)`", cell))
        assert told == set(get_args(options))
    (cell,) = [cell for key, cell in values.items() if "study.final" in key]
    parts = re.findall(r"`(?:study\.final)?\.([a-z]+)`", cell)
    assert set(parts) <= set(FinalConfig.model_fields)
    assert parts


def test_the_sections_that_the_first_hour_names_are_those_of_the_report_in_its_order() -> None:
    text = (ROOT / "docs" / "first_search.md").read_text(encoding="utf-8")
    table = text.partition("| section | the question it answers |")[2].partition("\n\n")[0]
    named = re.findall(r"^\| ([A-Z].*?) \|", table, re.MULTILINE)
    templates = ROOT / "mer_nas" / "report" / "templates"
    order = re.findall(r"sections/\w+", (templates / "report.html.jinja").read_text())
    page = "".join((templates / f"{name}.html.jinja").read_text() for name in order)
    titles = re.findall(r'<h2[^>]*>(?:{{ ")?([^"<]*)', page)
    assert named == [title for title in titles if title in named]
    assert len(named) > 5


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_shown_is_one(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    commands = re.findall(r"^(?:    |\$ |.*&& )(mer-nas [a-z]+(?: .*)?)$", text, re.MULTILINE)
    verbs = main.list_commands(None)  # type: ignore[arg-type]
    for command in commands:
        verb, *rest = shlex.split(command, comments=True)[1:]
        assert verb in verbs, command
        words = parse(word for word in rest if re.match(r"[a-z]+[\w.]*=.", word))
        own = Synthesis.model_fields if "synthesize" in rest else {"point", "seeds", "rank", "out"}
        assert set(words.plain) <= {*FOLDERS, *own}, command
        assert {key.split(".")[0] for key in words.dotted} <= {*FOLDERS, "ray"}, command


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documentation as a site; every warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    words = ["-q", "-W", "--keep-going", "-d", str(folder / "state"), "docs", str(folder / "html")]
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *words], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return folder / "html"


def test_the_site_has_every_guide_and_the_whole_python_interface(site: Path) -> None:
    for document in GUIDES:
        assert (site / document.removeprefix("docs/")).with_suffix(".html").is_file()
    said = (site / "reference/api.html").read_text(encoding="utf-8")
    assert all(f'id="mer_nas.api.{name}"' in said for name in api.__all__)
    said = (site / "reference/testing.html").read_text(encoding="utf-8")
    assert all(
        re.search(rf'id="mer_nas\.testing\.(\w+\.)?{name}"', said) for name in testing.__all__
    )


def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert not re.search(
            r"""<(?:script|img|link)\b[^>]*(?:src|href)=["'](?:https?:)?//""", text
        )


def test_links_of_the_site_lead_to_a_place_in_it(site: Path) -> None:
    pages = {page: page.read_text(encoding="utf-8") for page in site.rglob("*.html")}
    for page, text in pages.items():
        for link, anchor in re.findall(
            r'<a [^>]*href="(?!https?:|mailto:)([^"#]*)(?:#([^"]*))?"', text
        ):
            target = (page.parent / link).resolve() if link else page
            assert target.exists(), f"{page.name}: {link}"
            if anchor and target in pages:
                assert f'id="{anchor}"' in pages[target], f"{page.name}: {link}#{anchor}"


@pytest.mark.parametrize("document", [*DOCUMENTS, "CHANGELOG.md"])
def test_links_within_the_repository_lead_somewhere(document: str) -> None:
    file = ROOT / document
    for link in re.findall(r"\]\((?!http)([^)#]+)", file.read_text(encoding="utf-8")):
        assert (file.parent / link).exists(), link


PROMISES = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")


def test_every_promise_has_its_test() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PROMISES)
    promises = [line for line in PROMISES.splitlines() if "`tests/" in line]
    assert len(named) >= len(promises) > 25
    for file, name in named:
        assert f"\ndef {name}(" in (ROOT / file).read_text(encoding="utf-8"), name


def test_what_others_have_is_shown_by_a_test_or_a_picture_or_said_not_to_be_here() -> None:
    page = ROOT / "docs" / "beside_others.md"
    text = page.read_text(encoding="utf-8")
    for file, name in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text):
        assert f"\ndef {name}(" in (ROOT / file).read_text(encoding="utf-8"), name
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 15
    for _, whose, what, here, shown, _ in rows:
        assert shown.strip() or here.strip().startswith("not here"), (whose, what)
    pictures = re.findall(r"pictures/[\w.]+", text)
    assert len(pictures) > 3
    for picture in pictures:
        assert (page.parent / picture).stat().st_size < 150_000, picture


def test_every_limit_is_the_codes() -> None:
    limits = re.findall(r"`([\w.]+)\.([A-Z_]+)` = ([\d.]+)", PROMISES)
    assert len(limits) > 8
    for module, name, value in limits:
        assert getattr(import_module(module), name) == float(value), name
