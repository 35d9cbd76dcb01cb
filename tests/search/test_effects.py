"""Which of the parameters that a trial records did anything."""

from typing import Any

import optuna

from mer_nas.search.proposals import Proposer
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


def test_a_proposal_tells_its_idle_parameters() -> None:
    settings = resolve(["space=moe", "space.architecture.paths.0.stages.each.either=convolution"])
    proposer = Proposer(settings.space, TrainerConfig(), classes=3)
    asked = trial(settings.space)
    proposal = proposer(asked)
    assert "architecture.losses.balance" in proposal.idle
    assert set(proposal.idle) <= set(asked.params)
    assert not any("shared.expert" in name for name in asked.params)
