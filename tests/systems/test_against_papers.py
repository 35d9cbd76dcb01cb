"""What the papers and the public codes say, read again, and where an entry says that it differs."""

from typing import Any

import pytest
import torch

from mer_nas.architectures import Architecture, Network, parse
from mer_nas.architectures.layers.recalibration import ProgressiveAttention
from mer_nas.settings import resolve
from mer_nas.space import Reference, SearchSpace
from mer_nas.systems import published_system

Tree = dict[str, Any]
FRAMES: Tree = {"input": "clip_frames", "frames": 4, "temporal": {"kind": "arp", "where": "stem"}}


def space(name: str) -> SearchSpace:
    return resolve([f"space={name}"]).space


def reference(of: str, name: str) -> Architecture:
    entry = space(of).point(name)
    assert isinstance(entry, Reference)
    return parse(entry.architecture, name)


def network(**path: Any) -> Architecture:
    stage = {"local": {"kind": "res_basic"}}
    stem = {"kind": "conv", "width": 8}
    return parse({"paths": [{"size": 8, "stem": stem, "stages": [stage], **path}]})


def test_the_apex_of_smic_is_the_frame_in_the_middle() -> None:
    """Zhan et al. 2024, section 2.1: SMIC has no apex label."""
    assert resolve(["data=smic"]).data.pipeline.apex == ("middle",)  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["fdp", "fdp_code"])
def test_fdp_reads_the_frames_of_the_whole_clip_each_clip_scaled(name: str) -> None:
    (path,) = reference("dynamic", name).paths
    assert (path.input, path.frames, path.scaling) == ("clip_frames", 8, "clip")


def test_a_scaled_clip_has_lost_its_mean_and_has_a_largest_value_of_one() -> None:
    """By hand: 1, 2, 3, 6 have the mean 3; less it -2, -1, 0, 3; by 3."""
    path = network(**{**FRAMES, "size": 1, "frames": 4, "scaling": "clip"}).paths[0]
    clip = torch.tensor([1.0, 2.0, 3.0, 6.0]).view(1, 4, 1, 1, 1)
    expected = torch.tensor([-2 / 3, -1 / 3, 0, 1]).view(1, 4, 1, 1, 1)
    torch.testing.assert_close(
        path.read([torch.cat([clip, 5 * clip + 7])])[0], expected.repeat(2, 1, 1, 1, 1)
    )
    assert (
        path.read([torch.full((1, 4, 1, 1, 1), 0.3)])[0].abs().max() < 0.1
    )  # nothing moves, nothing is made up


def test_what_one_clip_becomes_does_not_depend_on_the_others() -> None:
    architecture = network(**FRAMES, scaling="clip")
    asked = Network(architecture, classes=3).eval()
    clips = torch.randn(3, 4, 1, 8, 8)
    torch.testing.assert_close(asked(clips)[:1], asked(clips[:1]))


def test_a_path_that_scales_nothing_reads_as_those_of_before() -> None:
    tree = network(**FRAMES).model_dump(mode="json")
    assert "scaling" not in tree["paths"][0]


def test_the_dynamic_image_is_that_of_the_frames_that_the_path_reads() -> None:
    """Frames that stand still but for the last: the weights of rank pooling, alone with it."""
    (path,) = reference("dynamic", "fdp").paths
    assert path.temporal.kind == "conv3d"
    decoder = {"kind": "small", "weight": 1.0}
    architecture = parse(
        {
            "paths": [
                {
                    **FRAMES,
                    "size": 16,
                    "scaling": "clip",
                    "stem": {"kind": "conv", "width": 8},
                    "stages": [{"local": {"kind": "res_basic"}}],
                }
            ],
            "losses": {"dyn_image": decoder},
        }
    )
    torch.manual_seed(0)
    learning = Network(architecture, classes=3)
    clips = torch.rand(2, 4, 1, 16, 16)
    task = learning.get_submodule("auxiliary.tasks.dyn_image")
    seen: list[torch.Tensor] = []
    task.register_forward_hook(lambda _, inputs, __: seen.extend(inputs[0].clips))
    learning(clips)
    torch.testing.assert_close(seen[0], architecture.paths[0].read([clips])[0])


@pytest.mark.parametrize("name", ["prog", "prog_eq8"])
def test_a_paper_point_starts_no_gate_open(name: str) -> None:
    gates = [stage.gate for stage in reference("progressive", name).paths[0].stages]
    assert [gate.model_dump()["bias"] for gate in gates] == [0.0] * 4
    assert {system.fidelity for system in space("progressive").systems if "_s" in system.name} == {
        "reading"
    }


def test_gates_without_a_word_start_nearly_open_as_they_always_did() -> None:
    gate = {"kind": "prog", "carry": "none"}
    tree = network(stages=[{"local": {"kind": "res_basic"}, "gate": gate}])
    assert "bias" not in tree.model_dump(mode="json")["paths"][0]["stages"][0]["gate"]
    for words, bias in ((gate, 2.0), ({**gate, "bias": 0.0}, 0.0)):
        built = Network(network(stages=[{"local": {"kind": "res_basic"}, "gate": words}]), 3)
        (found,) = (m for m in built.modules() if isinstance(m, ProgressiveAttention))
        assert found.look.bias is not None
        assert found.look.bias.item() == bias


def test_an_inverted_image_is_the_same_to_a_network_whose_first_kernels_are_negated() -> None:
    architecture = parse(
        {
            "paths": [
                {
                    "input": "difference",
                    "size": 8,
                    "stem": {"kind": "conv", "width": 8},
                    "stages": [{"local": {"kind": "res_basic"}}],
                }
            ]
        }
    )
    one = Network(architecture, classes=3).eval()
    image = torch.randn(2, 3, 8, 8)
    logits = one(image)
    first = next(m for m in one.modules() if isinstance(m, torch.nn.Conv2d))
    assert first.bias is None
    with torch.no_grad():
        first.weight.neg_()
    torch.testing.assert_close(one(-image), logits)


@pytest.mark.parametrize(
    ("of", "name", "words"),
    [
        ("dynamic", "fdp_code", ("frame by frame", "0.48", "0.17")),
        ("moe", "htnet_ref", ("position scalars", "0.048")),
        ("progressive", "prog", ("leaves open", "inverted")),
    ],
)
def test_an_entry_names_what_of_it_is_not_so(of: str, name: str, words: tuple[str, ...]) -> None:
    system = published_system(space(of), name, classes=3)
    assert all(word in system.differs for word in words)
    assert f"; but {system.differs}" in system.line


@pytest.mark.parametrize("scaling", ["fold", 1])
def test_another_scaling_is_refused_with_the_place(scaling: object) -> None:
    with pytest.raises(Exception, match=r"paths\.0\.scaling: .*'none' or 'clip'"):
        network(scaling=scaling)
