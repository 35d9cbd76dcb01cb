"""The last lines of a search and of its report: what won, what it is worth, what else there is."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from mer_nas.wording import ahead, between, count, signed

if TYPE_CHECKING:
    from mer_nas.report import (
        EnsembleSummary,
        Headline,
        MemberSummary,
        NestedEstimate,
        Report,
        SelectionBias,
    )


def _failures(report: Report) -> list[str]:
    """Return what failed, a line a reason: trials, repetitions of the final stage, exports."""
    study = report.study
    trials = Counter(trial.error for trial in study.trials if trial.outcome == "failed")
    final = Counter(study.final_failures.values())
    lines = [f"failed    {count(n, 'trial')}: {reason}" for reason, n in trials.most_common(3)]
    lines += [
        f"failed    {count(n, 'repetition')} of the final stage: {reason}"
        for reason, n in final.most_common(3)
    ]
    if study.final_failures and not study.finalists:
        lines.append("          so there is no finalist and no export, only the search's best")
    lines += [
        f"failed    export of the {what}: {reason}"
        for what, reason in study.export_failures.items()
    ]
    return lines


def closing(report: Report, folder: Path) -> str:
    """Return the last lines of a search: what won, how good it is, where it lies, what is next."""
    study, outcomes = report.study, report.outcomes
    lines = [
        f"{count(report.counted, 'trial')}: {outcomes['complete']} complete, "
        f"{outcomes['pruned']} pruned, {outcomes['failed']} failed; "
        f"pruning saved {study.compute.saved:.0%} of the folds",
        *_failures(report),
        *_headline(report),
        *_answer(report),
        *_choice(report),
        *_worth(report),
        *_front(report),
        *(table.to_text() for table in report.tables),
        f"report    {folder / 'report.html'}",
    ]
    lines += [
        f"exported  {found.folder}: {', '.join(found.files)}"
        for found in (study.export, study.ensemble_export)
        if found is not None
    ]
    lines += [f"all       {folder}", "next:"]
    width = min(72, max((len(step.command) for step in study.next_steps), default=0))
    lines += [f"  {step.command:<{width}}  # {step.purpose}" for step in study.next_steps]
    return "\n".join(lines)


def _worth(report: Report) -> list[str]:
    """Return by how much the choice flatters, what was measured instead, and how it compares."""
    study, answer = report.study, report.answer
    if answer is None:
        return []
    lines = []
    if study.headline is not None and study.selection is not None:
        lines += _optimism(study.headline, study.selection, study.ensemble)
    lines += _nested(study.nested, study.nested_note)
    lines.append(f"          {answer.honesty}")
    of = count(len(study.comparisons), "comparison")
    for other in study.comparisons:
        lead = other.difference
        lines.append(
            f"          {ahead(lead.value, lead.low, lead.high)} against "
            f"{other.label} ({other.origin}), p = {other.adjusted:.2g} ({of})"
        )
    if study.comparisons:
        lines.append(f"          {study.flattered}")
    return lines


def _headline(report: Report) -> list[str]:
    """Return what to expect of what is handed over; nothing where there is no such thing."""
    study = report.study
    found = study.headline
    if report.answer is None:
        return []
    if found is None:
        return [f"headline  unknown: {study.selection_note}"] if study.selection_note else []
    at_least = "at least " if found.upper_bound else ""
    worth = f"{found.uf1.value:.3f} {between(found.uf1.low, found.uf1.high)} on new subjects"
    if found.upper_bound:
        worth = (
            f"at most {found.uf1.value:.3f} on new subjects (interval of that bound "
            f"{between(found.uf1.low, found.uf1.high)})"
        )
    return [f"headline  UF1 {worth}: {found.mean:.3f} less {at_least}{found.optimism:.3f}"]


def _optimism(
    found: Headline, chosen: SelectionBias, ensemble: EnsembleSummary | None
) -> list[str]:
    """Return what the choice does to the score of what it chose, and of what is beside it."""
    at_least = "at least " if found.upper_bound else ""
    why = f"; {chosen.caveat}" if chosen.caveat else ""
    together = ensemble is not None and ensemble.handed_over
    what = "the ensemble" if together else "the best"
    corrected = ", ".join(
        f"{name} {score.value:.3f} {between(score.low, score.high)}"
        for name, score in (
            ("UF1", chosen.uf1),
            ("UAR", chosen.uar),
            ("accuracy", chosen.accuracy),
        )
    )
    lines = [
        f"optimism  {at_least}{found.optimism:.3f} for {what} of "
        f"{count(chosen.candidates, 'complete trial')} ({chosen.protocol}{why})",
        f"          corrected: {corrected}",
    ]
    if ensemble is not None and ensemble.alone is not None and ensemble.correction is not None:
        either = ("the best one alone", ensemble.alone), ("the ensemble", ensemble.correction)
        lines.append(
            "          "
            + "; ".join(
                f"{name} UF1 {worth.score:.3f}, corrected {worth.uf1.value:.3f} "
                f"{between(worth.uf1.low, worth.uf1.high)}"
                for name, worth in either
            )
        )
    return lines


def _nested(found: NestedEstimate | None, note: str) -> list[str]:
    """Return what the searches that never saw their outer group came to, a line or two."""
    if found is None:
        return [f"nested    {note}"] if note else []
    uf1, groups = found.uf1, count(len(found.groups), "outer group")
    return [
        f"nested    UF1 {uf1.value:.3f} {between(uf1.low, uf1.high)} on {groups} that their "
        f"searches never saw, {count(len(found.scores), 'seed')}",
        f"          inside, the same searches chose their winners at {found.inside:.3f}",
    ]


def _front(report: Report) -> list[str]:
    """Return the front of a search with several objectives, a line each."""
    return [
        f"{'front' if index == 0 else '':<10}{row.label}: UF1 {row.search_score:.3f}, "
        f"{row.parameters or 0:,} weights, {(row.macs or 0) / 1e6:.1f} MMAC"
        for index, row in enumerate(report.front)
    ]


def _answer(report: Report) -> list[str]:
    """Return what is handed over, its parts where it has some, and what it scores."""
    answer, ensemble = report.answer, report.study.ensemble
    if answer is None:
        return ["no trial was complete, so there is no winner"]
    uf1 = answer.uf1
    spread = f" +- {uf1.deviation:.3f}" if uf1.deviation is not None else ""
    rest = [
        f"{name} {score.mean:.3f}"
        for name, score in (("UAR", answer.uar), ("accuracy", answer.accuracy))
        if score is not None
    ]
    point = "a point of your own" if answer.fidelity == "own" else "a published point"
    whence = point if answer.label == answer.origin else answer.origin
    if answer.members and ensemble is not None:
        whence = ensemble.how
    weights = answer.deployed if answer.members else answer.parameters
    size = f"{weights:,} weights, " if weights else ""
    lines = [
        f"winner    {answer.label} ({whence}), {size}{(answer.macs or 0) / 1e6:.1f} MMAC",
        *map(_member, answer.members),
        *([f"          {answer.fidelity}: {answer.source}"] if answer.source else []),
        f"UF1       {uf1.mean:.3f}{spread} over {count(uf1.seeds, 'seed')}, {answer.protocol}"
        + (f"; {', '.join(rest)}" if rest else ""),
    ]
    if answer.against is not None:
        other = answer.against
        lines.insert(
            -1,
            f"          {signed(other.difference)} against the best warm start, {other.label} "
            f"({other.protocol})",
        )
    return lines


def _member(member: MemberSummary) -> str:
    score = member.search_score
    found = "" if score is None else f", UF1 {score:.3f} in the search"
    return (
        f"          {member.weight:.3f} of {member.label} ({member.origin}), "
        f"{member.deployed:,} weights, {member.macs / 1e6:.1f} MMAC{found}"
    )


def _choice(report: Report) -> list[str]:
    """Return what else could be handed over, and its price; or why there is nothing else."""
    answer, study = report.answer, report.study
    if answer is None:
        return []
    other, ensemble = answer.alternative, study.ensemble
    if other is None or ensemble is None:
        return [f"          no ensemble: {study.ensemble_note}"] if study.ensemble_note else []
    what = f"{other.label} alone" if answer.members else f"{other.label} ({ensemble.how})"
    lead = other.difference
    stands = "too few subjects for a comparison"
    if lead is not None and other.seeds is not None:
        who = "the ensemble" if answer.members else "the winner"
        stands = (
            f"against it {who} has {ahead(lead.value, lead.low, lead.high)} over "
            f"{count(other.seeds, 'seed')}, {other.protocol}"
        )
    price = f"{(answer.macs or 0) / 1e6:.1f} MMAC against {(other.macs or 0) / 1e6:.1f}"
    if other.times is not None and answer.clip_ms is not None and other.clip_ms is not None:
        price = (
            f"a clip takes {answer.clip_ms:.1f} ms instead of {other.clip_ms:.1f}, through the "
            f"ensemble {other.times:.1f} times as long"
        )
    lines = [f"beside    {what}, UF1 {other.uf1.mean:.3f}; {stands}", f"          {price}"]
    if ensemble.stage == "search":
        lines.append(
            f"          the folds of the search served for the ensemble: {other.protocol}"
        )
    return lines
