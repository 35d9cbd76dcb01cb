"""Draws thousands of candidates of the shipped spaces and builds, trains and rebuilds each.

    python benchmarks/draws.py               # 1,000 draws of every space
    python benchmarks/draws.py 5000 hybrid   # 5,000 of one

What a test does with some hundred draws, over many: each feasible draw is built, run forward and
backward once, written as YAML and read back. Prints, for every space, how many are feasible,
doubled and too costly, the spread of weights and multiply-accumulates, and what went wrong; exits
with 1 if anything did.
"""

import random
import sys
import time
from collections import Counter

import numpy as np
import torch
import yaml

from mer_nas.architectures import Architecture, Cost, Network, parse, parse_drawn
from mer_nas.config import presets
from mer_nas.errors import Infeasible
from mer_nas.settings import resolve


def main() -> None:
    """Run the campaign that the command line asks for."""
    words = sys.argv[1:]
    times = int(words[0]) if words else 1_000
    torch.set_num_threads(1)
    broken = [campaign(name, times) for name in words[1:] or presets.names("space")]
    sys.exit(int(any(broken)))


def campaign(name: str, times: int) -> bool:
    """Draw from one space and say what came of it; return whether a draw did not work."""
    space = resolve([f"space={name}"]).space
    chance = random.Random(0)
    outcomes: Counter[str] = Counter()
    seen: set[str] = set()
    costs: list[tuple[int, int]] = []
    started = time.perf_counter()
    for _ in range(times):
        try:
            architecture = parse_drawn(space.draw(chance)["architecture"])
            cost = Cost.of(architecture, classes=3)
            space.limits.hold(name, params=cost.deployed, macs=cost.macs)
        except Infeasible as reason:
            outcomes["too costly" if "allows at most" in str(reason) else "breaks a rule"] += 1
            continue
        text = architecture.model_dump_json()
        outcomes["doubled" if text in seen else "feasible"] += 1
        seen.add(text)
        costs.append((cost.deployed, cost.macs))
        if mistake := works(architecture):
            outcomes["DOES NOT WORK"] += 1
            print(f"  {mistake}\n  {text}")
    spread = np.percentile(np.array(costs), (5, 50, 95), axis=0)
    print(f"{name}: {times} draws in {time.perf_counter() - started:.0f} s: {dict(outcomes)}")
    print(
        f"  weights {spread[0, 0]:,.0f} / {spread[1, 0]:,.0f} / {spread[2, 0]:,.0f}, MMAC "
        + " / ".join(f"{macs / 1e6:.1f}" for macs in spread[:, 1])
        + " (5 %, median, 95 %)",
        flush=True,
    )
    return bool(outcomes["DOES NOT WORK"])


def works(architecture: Architecture) -> str:
    """Return what is wrong with a network, empty if nothing is."""
    network = Network(architecture, classes=3)
    clips = [torch.randn(2, *architecture.shapes[name]) for name in architecture.inputs]
    output = network(*clips)
    said = [output.logits, *output.losses.values(), *output.auxiliary_logits.values()]
    torch.stack([part.square().mean() for part in said]).sum().backward()
    for parameter, tensor in network.named_parameters():
        if tensor.grad is None or not tensor.grad.isfinite().all():
            return f"no finite gradient reaches {parameter}"
    tree = yaml.safe_load(presets.dump(architecture.model_dump(mode="json")))
    return "" if parse(tree) == architecture else "YAML brings back another network"


if __name__ == "__main__":
    main()
