"""What networks need against what data provide, and what a misfit is told."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from mer_nas import data, systems
from mer_nas.data.clips import ClipSet
from mer_nas.data.config import PrecomputedFlow, SyntheticData
from mer_nas.data.needs import Needs, Provides
from mer_nas.data.records import Record
from mer_nas.errors import ConfigError
from mer_nas.inputs import FLOW, INPUTS
from mer_nas.space import SearchSpace

EVERYTHING = Provides("data faces", tuple(INPUTS), size=28, frames=8, action_units=True)


@pytest.mark.parametrize(
    ("needs", "message"),
    [
        (
            Needs("space=hybrid", (FLOW, "frames", "keyframes")),
            "space=hybrid reads frames, keyframes, but data flows provides flow_uvs",
        ),
        (
            Needs("space=progressive: prog", (FLOW,), sizes=(224,)),
            "space=progressive: prog reads inputs of 224 pixels, but data flows provides them "
            "with 28; size: 28 there, or data.size=224, would be right",
        ),
        (
            Needs("space=mixed", (FLOW,), sizes=(28, 64)),
            "space=mixed reads inputs of 28, 64 pixels, but data flows provides all of them at "
            "one size",
        ),
        (
            Needs("space=decoupled", (FLOW,), action_units=True),
            "space=decoupled learns action units (losses.au), but no clip of data flows is "
            "annotated with them; losses.au: 0 would be right",
        ),
    ],
)
def test_a_misfit_names_both_sides(needs: Needs, message: str) -> None:
    flows = PrecomputedFlow(name="flows")
    with pytest.raises(ConfigError) as refused:
        data.load(flows, needs)  # without a root: nothing has been read
    assert str(refused.value) == message


def test_more_frames_than_there_are_is_refused_with_both_numbers() -> None:
    with pytest.raises(ConfigError) as refused:
        Needs("space=dynamic", ("frames",), (28,), frames=16).refuse_misfit(EVERYTHING)
    assert str(refused.value) == (
        "space=dynamic takes 16 frames, but data faces provides 8; data.frames=16 would be right"
    )


def test_everything_that_is_lacking_is_said_at_once() -> None:
    needs = Needs("space=s", ("frames",), (64,), frames=8, action_units=True)
    with pytest.raises(ConfigError) as refused:
        needs.refuse_misfit(Provides("data flows", (FLOW,), 28))
    assert len(str(refused.value).splitlines()) == 3


def test_the_synthetic_set_provides_all_there_is() -> None:
    everything = Needs("s", tuple(INPUTS), (64,), 8, action_units=True)
    everything.refuse_misfit(SyntheticData(size=64).provides)


def test_one_annotated_clip_is_enough_to_learn_action_units_from() -> None:
    pixels = {FLOW: np.zeros((2, 3, 4, 4), np.float32)}
    known = Record("a", "1", "x", 0, action_units=("4",))
    unknown = [Record("a", "1", name, 0) for name in "yz"]
    needs = Needs("s", sizes=(4,), action_units=True)
    needs.refuse_misfit(ClipSet("some", ("no",), (known, unknown[0]), pixels).provides)
    with pytest.raises(ConfigError, match="no clip of none is annotated"):
        needs.refuse_misfit(ClipSet("none", ("no",), tuple(unknown), pixels).provides)


def space(paths: Any, losses: Mapping[str, Any] | None = None) -> SearchSpace:
    architecture = {"paths": paths, "losses": losses or {}}
    return SearchSpace.read({"name": "s", "architecture": architecture}, "space=s")


def test_a_space_needs_what_any_of_its_open_choices_reads() -> None:
    found = systems.needs(
        space(
            [
                {"input": {"choice": ["flow_uvs", "difference"]}, "size": 28},
                {
                    "size": 28,
                    "either": {
                        "film": {"input": "frames", "frames": {"choice": [4, 12]}},
                        "keys": {"input": "keyframes", "frames": 2},
                    },
                },
            ],
            {"au": {"float": [0.1, 2.0]}},
        )
    )
    assert found == Needs(
        "space=s", ("flow_uvs", "difference", "frames", "keyframes"), (28,), 12, True
    )


def test_a_space_of_one_or_two_paths_needs_what_either_reads() -> None:
    paths = {
        "repeat": {"int": [1, 2]},
        "each": {"input": {"choice": ["flow_rgb", "flow_uvs"]}, "size": 64},
        "first": {"input": "dynamic_image"},
    }
    found = systems.needs(space(paths))
    assert set(found.inputs) == {"dynamic_image", "flow_rgb", "flow_uvs"}
    assert (found.sizes, found.frames, found.action_units) == ((64,), 0, False)


def test_what_a_space_leaves_out_is_needed_as_the_grammar_has_it() -> None:
    assert systems.needs(space([{}])) == Needs("space=s", (FLOW,), (28,), 0, False)


def test_an_input_that_no_data_have_is_refused_with_a_guess() -> None:
    with pytest.raises(ConfigError, match=r"space=s: .*'flow_uvss'.*Did you mean 'flow_uvs'\?"):
        systems.needs(space([{"input": "flow_uvss"}]))
