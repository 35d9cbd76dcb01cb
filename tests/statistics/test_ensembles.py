"""Rules that choose ensembles, and what their choices are worth, by hand counts."""

import numpy as np
import pytest

from mer_nas.errors import DataError
from mer_nas.evaluation.results import FoldResult
from mer_nas.statistics import (
    EnsembleRule,
    OutOfFold,
    best_one,
    correct,
    correct_choice,
)

CLASSES = ("no", "yes")
EVERYBODY = np.ones(4)


def pool(*rows: list[float]) -> OutOfFold:
    """Candidates by their probability of the true class of four clips: no, yes, no, yes.

    Each clip is of a subject of its own.
    """
    right = np.array(rows)
    labels = np.array([0, 1, 0, 1])
    yes = np.where(labels == 1, right, 1 - right)
    return OutOfFold(np.stack([1 - yes, yes], -1), labels, np.arange(4))


# UF1 of four right is 1, of three right .733; the first is sure and wrong about the last clip.
SURE = [0.9, 0.9, 0.9, 0.2]
HALF = [0.4, 0.6, 0.6, 0.6]
LAST = [0.25, 0.6, 0.25, 1.0]
WRONG = [0.1, 0.1, 0.1, 0.1]


def drawn(count: int, clips: int = 60, seed: int = 0) -> OutOfFold:
    """Candidates who know a little, over 20 subjects."""
    chance = np.random.default_rng(seed)
    labels = chance.integers(0, 3, clips)
    scores = chance.normal(size=(count, clips, 3)) + np.eye(3)[labels]
    shares = np.exp(scores)
    subjects = np.sort(np.arange(clips) % 20)
    return OutOfFold(shares / shares.sum(-1, keepdims=True), labels, subjects)


def test_the_mean_weighs_the_best_alike_and_the_others_not_at_all() -> None:
    found = EnsembleRule("mean", 2)(pool(WRONG, LAST, SURE, HALF), EVERYBODY)
    assert found.tolist() == [0, 0, 0.5, 0.5]


def test_two_who_err_about_different_clips_are_right_about_all_together() -> None:
    # Half and half the last clip is .2 / 2 + .6 / 2 = .4; of .22 and .78 it is .51, the first .51.
    both = pool(SURE, HALF)
    assert both.answers(np.array([0.5, 0.5])).tolist() == [0, 1, 0, 0]
    assert both.answers(np.array([0.22, 0.78])).tolist() == [0, 1, 0, 1]


def test_members_are_chosen_by_the_subjects_that_were_drawn() -> None:
    only_last = np.array([0.0, 1.0, 0.0, 3.0])
    assert best_one(pool(SURE, HALF), EVERYBODY).tolist() == [1, 0]
    assert best_one(pool(SURE, HALF), only_last).tolist() == [0, 1]


def test_of_equals_the_first_is_a_member() -> None:
    assert EnsembleRule("mean", 1)(pool(HALF, SURE, HALF), EVERYBODY).tolist() == [1, 0, 0]


def test_greedy_selection_begins_with_the_best_and_adds_what_helps_most_as_often_as_it_helps() -> (
    None
):
    """By hand: SURE alone errs about the last clip (.2).

    With LAST added it is (.2 + 1) / 2 = .6, and the others are .58, .75, .58: all right. Of what
    may be added then, LAST makes the first clip (.9 + .25 + .25) / 3 = .47, no longer right, and
    SURE the last (.2 + .2 + 1) / 3 = .47; HALF keeps all right: .52, .7, .58, .6.
    """
    library = pool(SURE, HALF, LAST, WRONG)
    assert EnsembleRule("greedy", 2)(library, EVERYBODY).tolist() == [0.5, 0, 0.5, 0]
    found = EnsembleRule("greedy", 3)(library, EVERYBODY)
    assert found == pytest.approx(np.array([1, 1, 1, 0]) / 3)


def test_greedy_selection_may_take_one_candidate_several_times() -> None:
    # Nothing is better than a candidate that is always right, so it is taken again.
    always = [0.6, 0.6, 0.6, 0.6]
    found = EnsembleRule("greedy", 3)(pool(WRONG, always, SURE), EVERYBODY)
    assert found.tolist() == [0, 1, 0]


def test_weights_are_those_of_least_squares_shrunk_towards_equal_ones() -> None:
    """One member is always right, the other undecided: with its weight b every answer errs by b / 2.

    In both classes and both columns the squares are b^2 / 4, together b^2; what the weights' distance
    from a half each costs is .3 * 2 (b - 1/2)^2. The sum is least where 2 b + 1.2 (b - 1/2) = 0.
    """
    right, undecided = [1.0, 1.0, 1.0, 1.0], [0.5, 0.5, 0.5, 0.5]
    found = EnsembleRule("weights", 2)(pool(right, undecided), EVERYBODY)
    assert found == pytest.approx([13 / 16, 3 / 16], abs=1e-4)
    mixed = EnsembleRule("weights", 2)(pool([0.9, 0.9, 0.6, 0.6], [0.6, 0.6, 0.9, 0.9]), EVERYBODY)
    assert mixed == pytest.approx([0.5, 0.5], abs=1e-9)


def test_a_member_of_slight_weight_is_left_out() -> None:
    """Beside one who is always right, one who never is would weigh .065, less than a tenth.

    With its weight b every answer errs by b: 4 b^2 + .3 * 2 (b - 1/2)^2 is least at .6 / 9.2.
    """
    right, wrong = [1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]
    assert EnsembleRule("weights", 2)(pool(right, wrong), EVERYBODY).tolist() == [1, 0]


def test_members_that_cost_too_much_together_make_room_for_the_next_best() -> None:
    library = pool(SURE, HALF, LAST, WRONG)
    costs = [[10], [8], [3], [1]]
    assert EnsembleRule("mean", 3, costs, [14])(library, EVERYBODY).tolist() == [
        pytest.approx(1 / 3),
        0,
        pytest.approx(1 / 3),
        pytest.approx(1 / 3),
    ]
    assert EnsembleRule("mean", 3, costs, [9])(library, EVERYBODY).tolist() == [0, 0.5, 0, 0.5]


@pytest.mark.parametrize("name", ["mean", "weights", "greedy"])
def test_a_limit_that_nobody_fits_leaves_nobody(name: str) -> None:
    rule = EnsembleRule(name, 2, [[5], [6]], [4])  # type: ignore[arg-type]
    assert not rule(pool(SURE, HALF), EVERYBODY).any()


def test_greedy_selection_pays_for_a_member_once() -> None:
    always = [0.6, 0.6, 0.6, 0.6]
    found = EnsembleRule("greedy", 4, [[5], [5]], [5])(pool(always, WRONG), EVERYBODY)
    assert found.tolist() == [1, 0]


@pytest.mark.parametrize("seed", range(3))
def test_where_always_the_best_one_is_chosen_it_is_the_usual_correction(seed: int) -> None:
    library = drawn(12, seed=seed)
    alone = np.stack([library.counts(row) for row in np.eye(12)])
    assert correct_choice(library, best_one, "abc", draws=200) == correct(alone, "abc", draws=200)


def test_the_mean_of_all_has_been_chosen_by_nothing_so_there_is_nothing_to_correct() -> None:
    library = drawn(6, clips=400)
    found = correct_choice(library, EnsembleRule("mean", 6), "abc")
    assert found.optimism == pytest.approx(0, abs=0.005)
    assert found.candidates == 6


def test_greedy_selection_among_candidates_of_pure_chance_is_worth_what_chance_is() -> None:
    chance = np.random.default_rng(5)
    shares = chance.dirichlet(np.ones(2), size=(40, 80))
    noise = OutOfFold(shares, np.arange(80) % 2, np.arange(80) // 4)
    found = correct_choice(noise, EnsembleRule("greedy", 5), CLASSES, draws=200)
    assert found.score > 0.7  # of answers that know nothing
    assert found.uf1.value == pytest.approx(0.5, abs=0.06)


def test_a_pool_of_nobody_is_refused() -> None:
    nobody = OutOfFold(np.zeros((0, 4, 2)), np.array([0, 1, 0, 1]), np.arange(4))
    with pytest.raises(DataError, match="no candidate is complete"):
        correct_choice(nobody, best_one, CLASSES)


def fold(candidate: str, clips: dict[str, tuple[int, list[float]]]) -> FoldResult:
    return FoldResult(
        candidate,
        "fold",
        "a fold",
        tuple(sorted({clip.rpartition("/")[0] for clip in clips})),
        0,
        0,
        "data",
        "code",
        "2 subject groups",
        tuple(clips),
        tuple(label for label, _ in clips.values()),
        tuple(tuple(said) for _, said in clips.values()),
        1,
        1.0,
    )


def test_candidates_are_laid_side_by_side_clip_by_clip_in_whatever_order_they_were_asked() -> None:
    one = [fold("one", {"b/1": (1, [0.2, 0.8])}), fold("one", {"a/2": (0, [0.7, 0.3])})]
    two = [fold("two", {"a/2": (0, [0.6, 0.4]), "b/1": (1, [0.1, 0.9])})]
    found = OutOfFold.of([one, two], ["a", "b"])
    assert found.labels.tolist() == [1, 0]
    assert found.subjects.tolist() == [1, 0]
    assert found.probabilities[:, :, 1].tolist() == [[0.8, 0.3], [0.9, 0.4]]
    assert found.counts(np.array([0.5, 0.5])).tolist() == [[[1, 0], [0, 0]], [[0, 0], [0, 1]]]


@pytest.mark.parametrize("other", [{"a/3": (0, [0.6, 0.4])}, {"a/2": (0, [0.6, 0.3, 0.1])}])
def test_candidates_that_were_asked_about_other_clips_or_classes_cannot_answer_together(
    other: dict[str, tuple[int, list[float]]],
) -> None:
    first = [fold("first", {"a/2": (0, [0.7, 0.3])})]
    with pytest.raises(DataError, match="first and second were not asked about the same"):
        OutOfFold.of([first, [fold("second", other)]], ["a"])
