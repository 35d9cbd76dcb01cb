"""The nodes of a cluster that is joined: what they are sent, and what they must have themselves.

A node is sent this very code, users' blocks and the clips; what the code imports it must have. So
before the first fold, a task on each node imports what trains, and says by which versions.
"""

import importlib
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import mer_nas
from mer_nas.errors import StudyError
from mer_nas.search.events import Listener, Note

TRAINS = "mer_nas.search.tuning"
"""What a worker imports."""
COMPARED = ("torch", "numpy", "timm")
"""Packages whose versions can change a score."""
LOOK_SECONDS = 120.0
"""How long a node may take to import what trains."""


def shipped() -> dict[str, Any]:
    """Return what Ray is to send to every node: this code."""
    return {"py_modules": [str(Path(mer_nas.__path__[0]))]}


def what_is_here() -> dict[str, str]:
    """Return the versions on this machine, or under "lacks" why it cannot train."""
    try:
        importlib.import_module(TRAINS)
    except Exception as error:  # whatever a broken installation raises
        return {"lacks": f"{type(error).__name__}: {error}".splitlines()[0]}
    return {"python": platform.python_version(), **_versions()}


def _versions() -> dict[str, str]:
    found = {}
    for name in COMPARED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "none"
    return found


def unlike_here(here: Mapping[str, str], nodes: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Return what is otherwise on nodes than here, a line a node; those that lack something raise.

    Args:
        here: What `what_is_here` says on this machine.
        nodes: What it says on each node.

    Raises:
        StudyError: A node cannot train; the message names every such node and what it lacks.
    """
    lacking = [f"{node}: {found['lacks']}" for node, found in nodes.items() if "lacks" in found]
    if lacking:
        raise StudyError(
            "a node of the cluster cannot train: " + "; ".join(lacking) + "; this code is sent to "
            "each node, but what it imports must be installed there: `pip install mer-nas` in the "
            "Python that `ray start` runs with"
        )
    lines = []
    for node, found in nodes.items():
        other = [f"{name} {found[name]} ({here[name]} here)" for name in here
                 if name in found and found[name] != here[name]]  # fmt: skip
        if other:
            lines.append(f"{node} has {', '.join(other)}; scores may differ in their last digits")
    return lines


def ask_every_node(on_event: Listener) -> None:
    """Have every node of the cluster that was joined say whether it can train.

    Raises:
        StudyError: One cannot, or does not answer.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    asked = {}
    for node in ray.nodes():  # type: ignore[no-untyped-call]
        if node["Alive"]:
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            task = ray.remote(num_cpus=0, max_retries=0)(what_is_here).options(
                scheduling_strategy=there
            )
            asked[f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"] = task.remote()
    answers: dict[str, dict[str, str]] = {}
    for name, answer in asked.items():
        try:
            answers[name] = ray.get(answer, timeout=LOOK_SECONDS)
        except Exception as error:  # a node that is lost, or where not even this can be imported
            said = str(error).strip().splitlines() or ["it does not answer"]
            answers[name] = {"lacks": f"{type(error).__name__}: {said[-1].strip()}"}
    for line in unlike_here(what_is_here(), answers):
        on_event(Note(line))
