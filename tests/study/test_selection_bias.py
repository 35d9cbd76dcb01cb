"""What a study says its scores are worth, against the ledger it says so from."""

import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from click.testing import Result
from scipy.stats import PermutationMethod, wilcoxon

from mer_nas.export.manifest import read_manifest
from mer_nas.search.config import StudyConfig
from mer_nas.search.journal import JournalFormat
from mer_nas.settings import resolve
from mer_nas.study.predictions import write_predictions
from mer_nas.study.selection_bias import MIN_COMPLETE


def test_a_first_look_measures_enough_candidates_whole_for_a_correction() -> None:
    study = resolve([]).study
    assert study.unpruned
    assert (study.trials or 0) >= 2 * MIN_COMPLETE


def ledger(study: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (study / "ledger.jsonl").read_text().splitlines()[1:]]


def report(study: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((study / "report.json").read_text())
    return found


def correct_answers(study: Path, key: str, seed: int) -> dict[str, int]:
    """Return the number of correct answers for each subject under LOSO, from the ledger's lines."""
    return {
        row["subjects"][0]: sum(
            int(label == int(np.argmax(row_)))
            for label, row_ in zip(row["labels"], row["probabilities"], strict=True)
        )
        for row in ledger(study)
        if row["candidate"] == key and row["repetition"] == seed and len(row["subjects"]) == 1
    }


def test_three_complete_trials_give_a_lower_bound_of_the_optimism_and_say_so(study: Path) -> None:
    facts, answer = report(study)["study"], report(study)["answer"]
    chosen, headline = facts["selection"], facts["headline"]
    assert (chosen["candidates"], chosen["pruned"]) == (3, 0)
    assert chosen["caveat"] == "3 complete trials, and 10 are needed"
    assert chosen["score"] == max(trial["value"] for trial in facts["trials"])
    assert chosen["optimism"] == pytest.approx(chosen["score"] - chosen["uf1"]["value"])
    assert headline["upper_bound"] is True
    assert headline["mean"] == pytest.approx(answer["uf1"]["mean"])
    assert headline["uf1"]["value"] == pytest.approx(
        headline["mean"] - max(0.0, chosen["optimism"])
    )
    assert headline["uf1"]["low"] < headline["uf1"]["value"] < headline["uf1"]["high"]
    worth = read_manifest(study / "export" / "rank1").provenance.worth
    assert worth is not None
    assert (worth.uf1, worth.mean, worth.optimism, worth.caveat) == pytest.approx(
        (headline["uf1"]["value"], headline["mean"], headline["optimism"], chosen["caveat"])
    )


def test_the_last_lines_print_all_three_parts_of_the_headline(
    study: Path, call: Callable[..., Result]
) -> None:
    lines = call("report", str(study)).output.splitlines()
    facts = report(study)["study"]
    found, chosen = facts["headline"], facts["selection"]
    uf1 = found["uf1"]
    assert (
        f"headline  UF1 at most {uf1['value']:.3f} on new subjects (interval of that bound "
        f"[{uf1['low']:.3f}, {uf1['high']:.3f}]): {found['mean']:.3f} less at least "
        f"{found['optimism']:.3f}"
    ) in lines
    assert (
        f"optimism  at least {found['optimism']:.3f} for the best of 3 complete trials (2 subject groups; "
        "3 complete trials, and 10 are needed)"
    ) in lines
    assert any(
        line.startswith(f"          corrected: UF1 {chosen['uf1']['value']:.3f} [")
        for line in lines
    )


def test_the_runner_up_is_compared_over_the_same_subjects(study: Path) -> None:
    facts = report(study)["study"]
    first, second = facts["finalists"]
    (other,) = facts["comparisons"]
    assert (other["label"], other["protocol"]) == (second["label"], "LOSO")
    means = [statistics.fmean(s["uf1"] for s in entry["scores"]) for entry in (first, second)]
    assert other["difference"]["value"] == pytest.approx(means[0] - means[1])
    ours, theirs = (
        [correct_answers(study, entry["key"], seed) for seed in (0, 1)]
        for entry in (first, second)
    )
    ahead = [sum(o[s] - t[s] for o, t in zip(ours, theirs, strict=True)) for s in ours[0]]
    assert len(ahead) == 4
    p = (
        wilcoxon(ahead, zero_method="zsplit", method=PermutationMethod(n_resamples=1e6)).pvalue
        if any(ahead)
        else 1.0
    )
    assert [other["p"], other["adjusted"]] == pytest.approx([p, p])


def test_the_best_warm_start_is_trained_beside_the_finalists_where_asked_for(
    study: Path, call: Callable[..., Result]
) -> None:
    before = [finalist["origin"] for finalist in report(study)["study"]["finalists"]]
    words = ("study.final.candidates=1", "study.final.warm_starts=1", "ray.workers=1")
    done = call("resume", str(study), *words)
    assert done.exit_code == 0, done.output
    facts = report(study)["study"]
    origins = [finalist["origin"] for finalist in facts["finalists"]]
    assert "seed" in origins
    assert len(origins) == (1 if facts["trials"][0]["value"] == facts["selection"]["score"] else 2)
    assert before
    assert [other["origin"] for other in facts["comparisons"]] == origins[1:]


@pytest.mark.parametrize(
    ("settings", "spares"),
    [
        ({}, True),
        ({"chance": 0.1}, False),
        ({"pruner": "wilcoxon"}, True),
        ({"pruner": "bound", "margin": 0.0}, False),
        ({"pruner": "bound", "margin": 0.04}, True),
        ({"pruner": "hyperband"}, False),
        ({"pruner": "none"}, True),
        ({"pruner": "hyperband", "objectives": ("uf1", "macs")}, True),
    ],
)
def test_only_pruners_that_leave_runners_up_carry_the_correction(
    settings: dict[str, Any], spares: bool
) -> None:
    assert StudyConfig(**settings).spares is spares


# The predictions in columns


def test_the_columns_hold_every_prediction_of_the_ledger(study: Path) -> None:
    table = pyarrow.parquet.read_table(study / "predictions.parquet").to_pylist()
    expected = [
        {
            "candidate": row["candidate"],
            "repetition": row["repetition"],
            "fold": row["fold"],
            "clip": clip,
            "subject": clip.rpartition("/")[0],
            "label": label,
            "predicted": int(np.argmax(probabilities)),
            "p_negative": pytest.approx(probabilities[0], abs=1e-6),
            "p_surprise": pytest.approx(probabilities[2], abs=1e-6),
        }
        for row in ledger(study)
        for clip, label, probabilities in zip(
            row["clips"], row["labels"], row["probabilities"], strict=True
        )
    ]
    assert [{name: line[name] for name in expected[0]} for line in table] == expected


def test_the_columns_may_hold_the_folds_of_one_version_of_the_code_alone(study: Path) -> None:
    lines = study / "ledger.jsonl"
    row = ledger(study)[-1] | {"code": "0" * 12, "repetition": 7}
    del row["crc32"]
    with lines.open("ab") as stream:
        stream.write(JournalFormat.line(json.dumps(row).encode()))
    classes = [f"class {index}" for index in range(len(row["probabilities"][0]))]
    assert write_predictions(
        lines, classes, file := study / "some.parquet", lambda fold: fold.code == row["code"]
    )
    assert pyarrow.parquet.read_table(file)["clip"].to_pylist() == row["clips"]


def test_the_columns_are_made_anew_only_where_the_ledger_has_grown(
    study: Path, call: Callable[..., Result]
) -> None:
    file = study / "predictions.parquet"
    call("report", str(study))
    made, size = file.stat().st_mtime_ns, pyarrow.parquet.read_metadata(file).num_rows
    call("report", str(study))
    assert file.stat().st_mtime_ns == made
    row = ledger(study)[-1] | {"candidate": "0" * 12}
    del row["crc32"]
    with (study / "ledger.jsonl").open("ab") as stream:
        stream.write(JournalFormat.line(json.dumps(row).encode()))
    call("report", str(study))
    assert pyarrow.parquet.read_metadata(file).num_rows == size + len(row["clips"])
    file.write_bytes(b"damaged")
    call("report", str(study))
    assert pyarrow.parquet.read_metadata(file).num_rows == size + len(row["clips"])
