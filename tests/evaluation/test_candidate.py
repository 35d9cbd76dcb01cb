"""What identifies a candidate."""

import dataclasses

import numpy as np
import pytest

from mer_nas.data.clips import ClipSet
from mer_nas.data.needs import Needs
from mer_nas.data.records import Record
from mer_nas.errors import ConfigError
from mer_nas.evaluation.candidate import Candidate
from mer_nas.inputs import FLOW


def change(candidate: Candidate, **words: object) -> Candidate:
    return dataclasses.replace(candidate, trainer=candidate.trainer.model_copy(update=words))


def test_a_dumped_candidate_is_read_back(candidate: Candidate) -> None:
    again = Candidate.parse(candidate.dump(), "stored")
    assert again == candidate
    assert again.key == candidate.key


def test_where_it_is_trained_and_what_the_recipe_is_called_do_not_matter(
    candidate: Candidate,
) -> None:
    assert change(candidate, device="cuda", name="other").key == candidate.key


def test_how_it_is_trained_matters(candidate: Candidate) -> None:
    assert change(candidate, epochs=3).key != candidate.key


def test_what_it_is_matters(candidate: Candidate) -> None:
    tree = candidate.dump()
    tree["architecture"]["head"]["dropout"] = 0.4
    assert Candidate.parse(tree, "other").key != candidate.key


def test_a_word_beside_architecture_and_trainer_is_refused(candidate: Candidate) -> None:
    with pytest.raises(ConfigError, match=r"mine: no setting is called 'trianer'; .*'trainer'"):
        Candidate.parse({**candidate.dump(), "trianer": {}}, "mine")


def test_a_candidate_needs_an_architecture() -> None:
    with pytest.raises(ConfigError, match="mine: the setting 'architecture' is missing"):
        Candidate.parse({"trainer": {}}, "mine")


@pytest.fixture
def filmed() -> Candidate:
    """A candidate that takes four frames of each clip and learns action units."""
    path = {
        "input": "frames",
        "frames": 4,
        "stem": {"kind": "conv", "kernel": 3, "stride": 2, "width": 8},
        "stages": [{"local": {"kind": "res_basic", "blocks": 1}}],
        "temporal": {"kind": "mean", "where": "stem"},
    }
    return Candidate.parse({"architecture": {"paths": [path], "losses": {"au": 1.0}}}, "film")


def test_a_candidate_says_what_it_needs(candidate: Candidate, filmed: Candidate) -> None:
    assert candidate.needs("small") == Needs("small", (FLOW,), (28,), 0, action_units=False)
    assert filmed.needs("film") == Needs("film", ("frames",), (28,), 4, action_units=True)


def test_a_network_sees_as_many_frames_as_it_takes_spread_evenly(filmed: Candidate) -> None:
    film = np.arange(2 * 8, dtype=np.float32).reshape(2, 8, 1, 1, 1)
    known = (Record("a", "1", "x", 0), Record("a", "1", "y", 0))
    clips = ClipSet("s", ("no",), known, {"frames": film, FLOW: np.zeros((2, 3, 1, 1))})
    seen = filmed.inputs_for(clips, [1])
    assert list(seen) == ["frames"]
    assert seen["frames"].flatten().tolist() == [8, 10, 13, 15]
