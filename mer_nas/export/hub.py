"""An export as a folder that the Hugging Face Hub takes for the repository of a model.

The Hub reads what a model is from the head of its `README.md`: library, task, data and scores. The
score that stands there is the corrected one where there is one, and the mean beside it. Nothing is
sent anywhere: whoever may pass the weights on uploads the folder.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mer_nas.errors import ExportError, shown
from mer_nas.export.manifest import AGAIN, FILE, Manifest, read_manifest
from mer_nas.files import ensure_folder, read_text

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

CARD, README = "card.md", "README.md"
LIBRARY = "mer-nas"
LICENCE = "terms-of-the-training-data"
"""What the Hub calls a licence that none of its own describes."""


def write_hub_folder(export: Path, folder: Path) -> Path:
    """Copy an export into a new folder, its card as the Hub reads it; return the folder.

    Args:
        export: Folder with `model.yaml`.
        folder: Is made; it must not exist, or be empty.

    Raises:
        ExportError: `export` is none, names files that are not what was exported or lie elsewhere,
            or `folder` holds something.
    """
    manifest = read_manifest(export)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ExportError(f"{folder}: holds something already; a new folder would be right")
    text = read_text(export / _within(export, CARD), ExportError)
    parts = {_within(export, name): manifest.content(export, name) for name in manifest.files}
    head = _head(manifest)
    ensure_folder(folder)
    shutil.copyfile(export / FILE, folder / FILE)
    for name, content in parts.items():
        ensure_folder((folder / name).parent)
        (folder / name).write_bytes(content)
    (folder / README).write_text(f"---\n{head}\n---\n{text}", encoding="utf-8")
    return folder


def _within(export: Path, name: str) -> Path:
    """Return where a file of an export lies in it, whoever wrote its name.

    Raises:
        ExportError: It lies elsewhere, or is a link that leads there.
    """
    there, root = (export / name).resolve(), export.resolve()
    if not there.is_relative_to(root):
        raise ExportError(f"{export}: {shown(name)} leads out of this folder; {AGAIN}")
    return there.relative_to(root)


def _head(manifest: Manifest) -> str:
    """Return what the Hub reads, as YAML."""
    from huggingface_hub import ModelCardData  # takes a second

    origin = manifest.provenance
    frames = manifest.how is not None
    data = ModelCardData(
        language="en",
        library_name=LIBRARY,
        license="other",
        license_name=LICENCE,
        license_link="README.md#licences",
        pipeline_tag="video-classification" if frames else "image-classification",
        tags=["micro-expression-recognition", "architecture-search", "onnx"],
        model_name=f"{origin.label} of {origin.study}",
        eval_results=list(_scores(manifest)) or None,
    )
    return str(data.to_yaml()).strip()


def _scores(manifest: Manifest) -> Iterator["EvalResult"]:
    """Yield the scores, the corrected one first."""
    from huggingface_hub import EvalResult

    origin = manifest.provenance
    told: list[tuple[str, str, float | None]] = [
        ("f1", f"UF1, mean over seeds ({origin.protocol})", origin.uf1),
        ("recall", f"UAR, mean over seeds ({origin.protocol})", origin.uar),
        ("accuracy", f"accuracy, mean over seeds ({origin.protocol})", origin.accuracy),
    ]
    if (worth := origin.worth) is not None:
        most = "at most, " if worth.caveat else ""
        name = f"UF1 on new subjects ({most}corrected for the choice among {worth.candidates})"
        told.insert(0, ("f1", name, worth.uf1))
    for kind, name, value in told:
        if value is not None:
            yield EvalResult(
                task_type="video-classification",
                task_name="micro-expression recognition",
                dataset_type=manifest.data,
                dataset_name=manifest.data,
                metric_type=kind,
                metric_name=name,
                metric_value=round(value, 4),
                dataset_args={"fingerprint": manifest.fingerprint},
            )
