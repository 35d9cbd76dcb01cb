"""The winner's network as a table: hand-counted widths, maps and parameters."""

from mer_nas.report import StudySummary, build_report
from mer_nas.report.stages import StageRow


def test_the_parts_of_the_progressive_network(facts: StudySummary) -> None:
    rows = build_report(facts).stages
    assert [row.part for row in rows] == ["stem", *(f"stage {n}" for n in (1, 2, 3, 4)), "head"]
    assert [row.width for row in rows] == [16, 16, 32, 64, 128, 3]
    assert [row.height for row in rows] == [28, 28, 14, 7, 4, None]
    assert sum(row.parameters for row in rows) == 318_463  # the published count
    assert sum(row.share for row in rows) == 1
    # Two 3 x 3 convolutions 16 -> 16 with norms, and a gate with a convolution 2 -> 1.
    assert rows[1].parameters == 2 * (9 * 16 * 16 + 2 * 16) + 3
    assert rows[-1].parameters == 128 * 3 + 3


def test_blocks_are_told_with_what_is_not_their_default(facts: StudySummary) -> None:
    stem, first, second, *_ = build_report(facts).stages
    assert stem.blocks == ("conv (width 16, multi_scale parallel)",)
    assert first.blocks == ("res_basic", "prog")
    assert second.blocks == ("in_block", "res_basic", "prog")


def test_without_an_architecture_there_are_no_parts() -> None:
    assert StageRow.of_network(None, 3) == ()


def test_the_parts_of_two_paths_and_of_what_brings_time_and_them_together() -> None:
    stage = {"local": {"kind": "res_basic"}}
    path = {"stem": {"kind": "conv", "width": 8}, "stages": [stage]}
    timed = path | {"input": "frames", "frames": 3, "stages": [stage, stage]}
    tree = {
        "paths": [path, timed | {"temporal": {"kind": "attn", "where": 0}}],
        "fusion": {"kind": "concat", "width": 16},
        "losses": {"au": 1.0, "dyn_image": {"kind": "small"}},
    }
    rows = StageRow.of_network(tree, 3)
    assert [row.part for row in rows] == [
        "path 1, stem",
        "path 1, stage 1",
        "path 2, stem",
        "path 2, stage 1",
        "path 2, temporal pool",
        "path 2, stage 2",
        "fusion",
        "head",
    ]
    assert rows[4].parameters == 8
    # Two alignments without bias, then 1 x 1 from both maps, and a norm.
    assert rows[6].parameters == 2 * 8 * 16 + 2 * 16 * 16 + 2 * 16
    assert rows[7].parameters == 16 * 3 + 3
    assert sum(row.share for row in rows) == 1  # what only training uses has no share
