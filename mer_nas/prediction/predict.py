"""A label for each clip, which frames it rests on, and how far it is to be trusted."""

from dataclasses import dataclass, replace

from mer_nas.config.base import Tree
from mer_nas.data.preprocess.images import IMAGE_ENDINGS
from mer_nas.prediction.clip_input import Given, clip_input, there
from mer_nas.prediction.model import Inputs, Model
from mer_nas.wording import brief

NOTHING = Given()


@dataclass(frozen=True)
class Prediction:
    """What a network says of a clip."""

    clip: str
    """As the user named it."""
    label: str
    """The likeliest class."""
    probabilities: dict[str, float]
    """Of each class."""
    onset: int | None
    """Number of the frame that was taken for the onset; None for a flow image."""
    apex: int | None
    apex_source: str | None
    """How the apex was found: "given", "middle", "spotted"."""
    notes: tuple[str, ...] = ()
    """What was passed over, is missing, or was assumed of its frames."""

    def __repr__(self) -> str:
        """Return what is said of which clip."""
        chance = round(self.probabilities[self.label], 4)
        return brief(self, [("clip", self.clip), ("label", self.label), ("probability", chance)])

    def tree(self) -> Tree:
        """Return everything as a plain tree."""
        return {
            "clip": self.clip,
            "label": self.label,
            "probabilities": self.probabilities,
            "onset": self.onset,
            "apex": self.apex,
            "apex_source": self.apex_source,
        }


def predict(model: Model, word: str, given: Given = NOTHING) -> tuple[Prediction, Inputs]:
    """Return what a network says of a clip, and what it saw of it.

    Args:
        model: The network.
        word: A video, a folder of frames, "onset.png,apex.png", or a flow image.
        given: Where the expression is; what is not given is the first frame, the last, and the
            frame between of the largest motion.

    Raises:
        DataError: The clip cannot be read or prepared, or is not what the network needs.
    """
    path = there(word)
    if model.manifest.how is None and path is not None and path.suffix.lower() in IMAGE_ENDINGS:
        inputs = model.make_flow_inputs(path)
        return _said(model, word, inputs, None, None, None), inputs
    found = clip_input(word, given)
    prepared, inputs = model.make_inputs(found)
    onset, apex = found.numbers[found.keyframes.onset], found.numbers[prepared.apex]
    source = "given" if prepared.apex_source == "annotated" else prepared.apex_source
    said = _said(model, word, inputs, onset, apex, source)
    return replace(said, notes=found.notes), inputs


def _said(
    model: Model,
    word: str,
    inputs: Inputs,
    onset: int | None,
    apex: int | None,
    source: str | None,
) -> Prediction:
    classes = model.manifest.classes
    chances = model.run(inputs)
    return Prediction(
        word,
        classes[int(chances.argmax())],
        dict(zip(classes, (round(float(chance), 6) for chance in chances), strict=True)),
        onset,
        apex,
        source,
    )
