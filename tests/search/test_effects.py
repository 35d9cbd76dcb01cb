"""Which of the parameters that a trial records did anything."""

from random import Random
from typing import Any

import optuna
import pytest

from mer_nas.errors import Infeasible
from mer_nas.search.draws import KnownDraw
from mer_nas.search.proposals import Proposer
from mer_nas.search.samplers import RepeatableSampler
from mer_nas.search.trials import drawn_by
from mer_nas.settings import resolve
from mer_nas.space import SearchSpace
from mer_nas.training.config import TrainerConfig

STEM = {"kind": "patch", "patch": 4, "width": 16}


def choice(*values: Any) -> dict[str, Any]:
    return {"choice": list(values)}


def trial(space: SearchSpace, **asked: Any) -> optuna.Trial:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.enqueue_trial(asked)
    return study.ask()


def space_of(block: dict[str, Any], **path: Any) -> SearchSpace:
    stages = [{"global": block}]
    tree = {"paths": [{"stem": STEM, "stages": stages, **path}]}
    return SearchSpace.read({"name": "x", "architecture": tree}, "space=x")


def test_settings_that_blocks_of_a_kind_share_are_drawn_where_there_is_such_a_block() -> None:
    block = {"choice": {"mhsa": {}, "expert": {}}}
    shared = {"expert": {"experts": choice(4, 8)}, "mhsa": {"heads": choice(1, 2)}}
    space = space_of(block, shared=shared)
    name = "architecture.paths.0.stages.0.global"
    for kind, other in (("mhsa", "expert.experts"), ("expert", "mhsa.heads")):
        asked = trial(space, **{name: kind})
        space.suggest(asked)
        assert len(asked.params) == 2
        assert f"architecture.paths.0.shared.{other}" not in asked.params
    # the point names what no block of it takes, and still lies inside
    tree = {
        "stem": STEM,
        "stages": [{"global": {"kind": "mhsa"}}],
        "shared": {"mhsa": {"heads": 2}},
    }
    tree["shared"]["expert"] = {"experts": 8}  # type: ignore[index]
    assert space.encode({"architecture": {"paths": [tree]}}) == {
        name: "mhsa",
        "architecture.paths.0.shared.mhsa.heads": 2,
    }


def test_a_parameter_is_idle_where_the_rest_leaves_it_without_effect() -> None:
    block = {
        "kind": "expert",
        "experts": 4,
        "top_k": choice(2, 4),
        "expert_drop": choice(0.1, 0.2),
    }
    space = space_of(block)
    proposer = Proposer(space, TrainerConfig(), classes=3)
    at = "architecture.paths.0.stages.0.global"
    for top_k, without in ((2, ()), (4, (f"{at}.expert_drop",))):
        drawn = {f"{at}.top_k": top_k, f"{at}.expert_drop": 0.2}
        assert proposer(trial(space, **drawn)).idle == without


def test_a_setting_without_effect_is_no_parameter_of_a_trial_and_noted_beside() -> None:
    settings = resolve(["space=moe", "space.architecture.paths.0.stages.each.either=convolution"])
    proposer = Proposer(settings.space, TrainerConfig(), classes=3)
    asked = trial(settings.space)
    proposal = proposer(asked)
    assert "architecture.losses.balance" in proposal.idle
    assert not set(proposal.idle) & set(asked.params)
    assert sorted(asked.user_attrs["idle"]) == sorted(proposal.idle)
    assert not any("shared.expert" in name for name in asked.params)
    # all of it together is what was drawn
    again = proposer.draft(KnownDraw(drawn_by(asked), Random(1)))
    assert again.candidate.key == proposal.candidate.key


def test_a_trial_that_a_kill_left_is_drawn_the_same_with_what_does_nothing_in_it() -> None:
    settings = resolve(["space=moe", "space.architecture.paths.0.stages.each.either=convolution"])
    proposer = Proposer(settings.space, TrainerConfig(), classes=3)
    asked = trial(settings.space)
    proposal = proposer(asked)
    assert proposal.idle
    adopted = optuna.Trial(asked.study, asked._trial_id)
    again = proposer(adopted)  # the sampler cannot repeat, and has gone on meanwhile
    assert (again.candidate.key, again.idle) == (proposal.candidate.key, proposal.idle)
    assert (adopted.params, adopted.user_attrs) == (asked.params, asked.user_attrs)


def test_a_draw_that_may_not_be_trained_is_recorded_whole() -> None:
    space = resolve(["space=moe", "space.limits.params=1"]).space
    asked = trial(space)
    with pytest.raises(Infeasible):
        Proposer(space, TrainerConfig(), classes=3)(asked)
    assert asked.params
    assert asked.user_attrs == {"idle": {}}


def test_importance_knows_of_no_setting_where_it_did_nothing() -> None:
    block = {"kind": "expert", "experts": 4, "top_k": choice(2, 4)}
    space = space_of({**block, "expert_drop": choice(0.1, 0.2)})
    proposer = Proposer(space, TrainerConfig(), classes=3)
    study = optuna.create_study(sampler=RepeatableSampler("random", 4, 0), direction="maximize")
    at = "architecture.paths.0.stages.0.global"
    for number in range(12):
        asked = study.ask()
        proposer(asked)
        study.tell(asked, asked.params[f"{at}.top_k"] + number / 100)
    ks = [each.params[f"{at}.top_k"] for each in study.trials]
    assert set(ks) == {2, 4}
    dropped = [f"{at}.expert_drop" in each.params for each in study.trials]
    assert dropped == [k == 2 for k in ks]  # where all four experts answer, none is left out
    assert next(iter(optuna.importance.get_param_importances(study))) == f"{at}.top_k"
