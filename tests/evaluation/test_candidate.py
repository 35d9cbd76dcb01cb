"""What identifies a candidate."""

import dataclasses

import pytest

from mer_nas.errors import ConfigError
from mer_nas.evaluation.candidate import Candidate


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
