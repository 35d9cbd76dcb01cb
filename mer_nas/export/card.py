"""The model card: what an exported network is, for the people who will use it.

Headings after Mitchell et al. 2019, "Model Cards for Model Reporting" (arXiv:1810.03993).
"""

from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from mer_nas.config import presets
from mer_nas.export.manifest import Manifest


def write_card(manifest: Manifest, difference: float, path: Path) -> None:
    """Write the card of the network that `manifest` describes.

    Args:
        manifest: What is known of the network.
        difference: Largest difference of a logit between the ONNX graph and the network.
        path: The Markdown file.
    """
    environment = Environment(
        loader=PackageLoader("mer_nas.export"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # Markdown, not HTML
        keep_trailing_newline=True,
    )
    environment.filters["yaml"] = lambda tree: presets.dump(tree, compact=True).strip()
    card = environment.get_template("card.md.jinja").render(model=manifest, difference=difference)
    path.write_text(card, encoding="utf-8")
