"""The card of an export, for the people who will use it."""

from pathlib import Path

from mer_nas.config import presets
from mer_nas.config.base import Tree
from mer_nas.data.annotations.layouts import Layout
from mer_nas.export.manifest import Manifest, Portion
from mer_nas.templates import line, templates


def write_card(manifest: Manifest, difference: float, path: Path) -> None:
    """Write the card of the network that `manifest` describes, for the people who will use it.

    Headings after Mitchell et al. 2019, "Model Cards for Model Reporting" (arXiv:1810.03993).

    Args:
        manifest: What is known of the network.
        difference: Largest difference of a logit between the ONNX graph and the network.
        path: The Markdown file.
    """
    environment = templates("mer_nas.export", html=False)
    environment.filters["yaml"] = lambda tree: presets.dump(tree, compact=True).strip()
    environment.filters["python"] = lambda value: line(repr(value))
    card = environment.get_template("card.md.jinja").render(
        model=manifest,
        several=len(manifest.members) > 1,
        difference=difference,
        sets=[_known(portion) for portion in manifest.portions],
        aligned=manifest.how is not None and manifest.how.pipeline.align is not None,
    )
    path.write_text(card, encoding="utf-8")


def _known(portion: Portion) -> Tree:
    """Return what is known of a data set: its proper name, its paper, its terms."""
    if portion.name not in Layout.names():
        return {"part": portion, "title": portion.name, "paper": "", "terms": ""}
    layout = Layout.read(portion.name)
    told = {"title": layout.title, "paper": layout.paper, "terms": layout.terms}
    return {"part": portion, **told}
