"""The ensemble of a study as one network: trained member by member, exported, asked, and kept."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import Result

from mer_nas import api
from mer_nas.errors import ExportError
from mer_nas.evaluation.evaluator import Evaluator
from mer_nas.export import EnsembleNetwork, Exported
from mer_nas.export.manifest import read_manifest
from mer_nas.report import read_report
from mer_nas.study import exports

Call = Callable[..., Result]


@pytest.fixture(scope="module")
def ended(
    tmp_path_factory: pytest.TempPathFactory, write_tiny: Callable[[Path], list[str]]
) -> Path:
    """A study of 3 trials whose two best, by their search, are its ensemble; not to be changed."""
    folder = tmp_path_factory.mktemp("ended")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        ensemble = {"rule": "mean", "members": 2}
        final = {"candidates": 2, "seeds": 2, "warm_starts": 0, "ensemble": ensemble}
        api.search(*write_tiny(folder), "ray.workers=0", f"study.final={json.dumps(final)}")
    return folder


@pytest.fixture
def together(ended: Path, here: Path) -> Path:
    """A copy of it in the working directory."""
    shutil.copytree(ended, here, dirs_exist_ok=True)
    return Path("runs/small-faces-1")


def notes(action: Callable[..., object]) -> list[str]:
    """Return what is said while something is done."""
    heard: list[str] = []
    action(on_event=lambda event: heard.append(str(getattr(event, "text", event))))
    return [text for text in heard if "for export" in text or "not exported" in text]


def test_a_search_ends_with_its_winner_and_its_ensemble_as_networks(together: Path) -> None:
    found = api.load_study(together).report.study.ensemble
    assert found is not None
    manifest = read_manifest(together / "export" / "ensemble")
    assert [(each.label, each.weight) for each in manifest.members] == [
        (member.label, member.weight) for member in found.members
    ]
    assert len(manifest.members) == 2
    origin = manifest.provenance
    assert (origin.label, origin.rule) == ("ensemble of 2", "mean")
    assert origin.handed_over == found.handed_over
    assert (origin.protocol, origin.seeds) == ("LOSO", 2)
    assert origin.uf1 == pytest.approx(np.mean([score.uf1 for score in found.scores]))
    assert manifest.parameters == found.deployed
    assert len(read_manifest(together / "export" / "rank1").members) == 1


def test_its_report_knows_both_exports_and_writes_them_down_again(
    together: Path, written_anew: Callable[[Path], bool]
) -> None:
    facts = api.load_study(together).report.study
    assert facts.export is not None
    assert facts.ensemble_export is not None
    assert facts.export.folder == together / "export" / "rank1"
    assert facts.ensemble_export.folder == together / "export" / "ensemble"
    assert written_anew(together)


def test_a_member_is_to_the_last_bit_what_it_would_be_alone(together: Path) -> None:
    network = api.load_model(together / "export" / "ensemble").network
    assert isinstance(network, EnsembleNetwork)
    labels = [m.label for m in read_manifest(together / "export" / "ensemble").members]
    for rank in (1, 2):
        alone = api.load_model(api.export(together, rank))
        place = labels.index(alone.manifest.members[0].label)
        assert (
            alone.manifest.members[0].seed
            == read_manifest(together / "export" / "ensemble").members[place].seed
        )
        weights = alone.network.state_dict()
        held = network.members[place].state_dict()
        assert held.keys() == weights.keys()
        assert all(torch.equal(held[name], value) for name, value in weights.items())


def test_what_is_exported_is_not_trained_again_and_what_is_spoiled_is(together: Path) -> None:
    study = api.load_study(together)
    assert notes(study.resume) == []
    (together / "export" / "ensemble" / "model.safetensors").write_bytes(b"")
    said = notes(study.resume)
    assert [re.sub(r"trial \d", "trial", text) for text in said] == [
        "training trial on all 24 clips for export, member 1 of 2",
        "training trial on all 24 clips for export, member 2 of 2",
    ]
    assert notes(study.resume) == []


def test_a_study_that_was_renamed_keeps_its_exports(together: Path) -> None:
    moved = together.rename(together.with_name("renamed"))
    assert notes(api.load_study(moved).resume) == []
    facts = api.load_study(moved).report.study
    assert facts.export is not None
    assert facts.ensemble_export is not None
    assert facts.export.folder == moved / "export" / "rank1"


def test_a_winner_that_is_a_member_is_trained_once(together: Path) -> None:
    shutil.rmtree(together / "export")
    said = notes(api.load_study(together).resume)
    assert len(said) == len({re.search(r"trial \d", text)[0] for text in said})  # type: ignore[index]
    assert said[0].endswith("for export")
    assert (together / "export" / "ensemble" / "model.onnx").is_file()


def test_an_ensemble_that_is_asked_for_no_longer_is_no_answer_any_more(together: Path) -> None:
    place = together / "export" / "ensemble"
    found = read_manifest(place)
    facts = found.provenance.model_copy(update={"handed_over": True})
    found.model_copy(update={"provenance": facts}).write(place)
    assert api.open_export(together).folder == place
    final = {"candidates": 2, "seeds": 2, "warm_starts": 0, "ensemble": "none"}
    api.load_study(together).resume(f"study.final={json.dumps(final)}")
    assert api.open_export(together).folder == together / "export" / "rank1"
    assert not read_manifest(place).provenance.handed_over


@pytest.mark.parametrize(
    ("lost", "kept", "members"), [("rank1", "ensemble", 1), ("ensemble", "rank1", 2)]
)
def test_an_export_that_fails_does_not_lose_the_other(
    together: Path, call: Call, monkeypatch: pytest.MonkeyPatch, lost: str, kept: str, members: int
) -> None:
    write = exports.export_networks

    def failing(trained: list[object], *rest: object) -> Exported:
        if len(trained) == members:
            raise ExportError("no such luck")
        return write(trained, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(exports, "export_networks", failing)
    shutil.rmtree(together / "export")
    result = call("resume", str(together))
    assert result.exit_code == 1
    what = {"rank1": "winner", "ensemble": "ensemble"}[lost]
    assert f"the {what} is not exported: no such luck" in result.stderr
    assert [path.name for path in (together / "export").iterdir()] == [kept]
    facts = json.loads((together / "report.json").read_text())["study"]
    assert (facts["export"] is None, facts["ensemble_export"] is None) == (
        lost == "rank1",
        lost == "ensemble",
    )


def test_why_an_export_failed_is_told_in_every_form_of_the_report_until_there_is_one(
    together: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> Exported:
        raise ExportError("no such luck")

    shutil.rmtree(together / "export")
    with monkeypatch.context() as patch:
        patch.setattr(exports, "export_networks", failing)
        result = call("resume", str(together), "--quiet")
    assert (result.exit_code, result.stderr) == (1, "")
    for what in ("winner", "ensemble"):
        assert f"\nfailed    export of the {what}: no such luck\n" in result.stdout
        for name in ("report.md", "report.html"):
            text = re.sub("<[^>]*>|[*]", "", (together / name).read_text())
            assert f"The {what} is not exported. no such luck." in text

    def failed() -> set[str]:
        assert call("report", str(together)).exit_code == 0
        return {*read_report(together / "report.json").study.export_failures}

    assert failed() == {"winner", "ensemble"}
    api.export(together)
    assert failed() == {"ensemble"}
    api.load_study(together).resume()
    assert failed() == set()


def test_what_no_file_can_hold_is_refused_before_anything_is_trained(
    together: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trained(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(Evaluator, "train", trained)
    monkeypatch.setattr("mer_nas.export.onnx.MAX_BYTES", 2**22 + 2**20)
    refused = call("export", str(together), "ensemble")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert re.search(
        r"the 2 members take 8,\d{3},\d{3} bytes in one ONNX file, which holds at most 5,242,880 ",
        refused.stderr,
    )


def test_a_study_of_before_exports_the_ensemble_that_it_would_find_now(
    study: Path, call: Call
) -> None:
    settings = study / "settings.yaml"
    text = settings.read_text()
    asked = re.search(r"\n *ensemble: *(null|none)", text)
    assert asked is not None
    refused = call("export", str(study), "ensemble")
    assert (refused.exit_code, refused.stderr) == (
        2,
        f"mer-nas: {study}: there is no ensemble to export: none was asked for; `mer-nas resume "
        f"{study} study.final.ensemble.rule=weights` does\n",
    )
    settings.write_text(text.replace(asked.group(), ""))
    result = call("export", str(study), "ensemble")
    assert (result.exit_code, result.stdout) == (0, f"{study}/export/ensemble\n")
    manifest = read_manifest(study / "export" / "ensemble")
    assert {each.label for each in manifest.members} == {"trial 0", "trial 1", "trial 2"}
    assert (manifest.provenance.protocol, manifest.provenance.seeds) == ("2 subject groups", 1)
    worth = manifest.provenance.worth
    assert worth is not None
    assert worth.uf1 == pytest.approx(max(0.0, worth.mean - worth.optimism))
    assert "choosing among 3 complete trials" in worth.said
    assert not manifest.provenance.handed_over  # its report does not know it
    assert api.open_export(study).folder == study / "export" / "rank1"


def test_what_other_code_measured_is_trained_by_this_code_once_that_is_agreed_to(
    together: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    then, now = json.loads((together / "origin.json").read_text())["code"], "0123456789ab"
    monkeypatch.setattr("mer_nas.study.resume.code", lambda _: {"mer_nas.training.fit": now})
    monkeypatch.setattr("mer_nas.study.export_provenance.code_version", lambda _: now)
    refused = call("export", str(together), "ensemble")
    assert refused.exit_code == 2
    assert refused.stderr.endswith(
        f", or train just what is exported with it: `mer-nas export {together} ensemble --anew`\n"
    )
    assert call("export", str(together), "ensemble", "--anew").exit_code == 0
    facts = read_manifest(together / "export" / "ensemble").provenance
    assert (facts.code_version, facts.trained_by) == (then, now)
    card = (together / "export" / "ensemble" / "card.md").read_text("utf-8")
    assert f"`{then}`, which measured the scores; `{now}` trained these weights" in card


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["study.trials=1"], "1 complete trial, and an ensemble needs two"),
        (["study.sampler=points"], "a points study compares its rows"),
        (
            ["study.objectives=[uf1,macs]", "study.trials=2"],
            "with several objectives there is a front and no best few",
        ),
    ],
)
def test_an_ensemble_that_there_is_not_is_refused_with_the_reason(
    call: Call, tiny: list[str], words: list[str], why: str
) -> None:
    final = ["study.final=none"]
    assert call("search", *tiny, *final, *words, "study.name=few").exit_code == 0
    refused = call("export", "few", "ensemble")
    assert (refused.exit_code, refused.stdout, refused.stderr) == (
        2,
        "",
        f"mer-nas: runs/few: there is no ensemble to export: {why}\n",
    )


def test_words_that_mean_no_export_are_refused(call: Call, study: Path) -> None:
    for words, message in [
        (["ensmble"], "no export is called 'ensmble'; known: ensemble, rank=1. Did you mean"),
        (["ensemble", "rank=2"], "ensemble rank=2: one of them would be right"),
    ]:
        refused = call("export", str(study), *words)
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert refused.stderr.startswith(f"mer-nas: {message}")
    for place in ("best", "rank1", True):
        with pytest.raises(ExportError, match=r"a rank such as 1, or 'ensemble', would be right"):
            api.load_study(study).export(place)
