"""Train the networks of several folds as one computation, each as it would be alone.

The numbers of F networks of one architecture lie side by side, and `vmap` of `torch.func` takes
them all through a step: one matrix product in place of F small ones, and as many launches on a GPU
for any number of folds. The way back is that of plain autograd, for the sum of losses that have
nothing in common. Each fold keeps its own batches and augmentation, its own stream of chance
(`chance`), its own norm of the gradient, learning rate and loss; one that diverges computes on and
is told of in the end. What differs from `fit` is in which order numbers are added up.

The clips are those of all folds, and a batch of a fold is an index into them. Last batches have
other sizes from fold to fold: folds whose batches are of one size take their step together.

Shapes speak of F folds, B clips of a batch, K classes, P trained numbers of a network.
"""

import copy
import itertools
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from mer_nas.training.augment import Changes, blend, change
from mer_nas.training.chance import Chance
from mer_nas.training.config import TrainerConfig
from mer_nas.training.fit import Drawn, Draws, InputTensors, TrainingDiverged, diverged, trained
from mer_nas.training.losses import Rarity, Targets, TrainingLoss
from mer_nas.training.optimizer import lr_share

_BETAS, _EPS, _MOMENTUM = (0.9, 0.999), 1e-8, 0.9
"""Those of torch's Adam and AdamW, and of `fit`'s SGD."""


@dataclass(frozen=True)
class Learner:
    """A fold to be trained."""

    network: nn.Module
    """As it begins, in training mode; holds what was learned in the end."""
    clips: Tensor
    """(N,), which of all clips it learns from; on the CPU."""
    seed: int
    """Decides batches and augmentation."""
    chance: torch.Generator
    """What its network draws from, on its device."""
    divisors: Mapping[str, Tensor]
    """By input, (C,), what each channel is divided by; inputs that are not named stay."""


class _Step(NamedTuple):
    """A step of neighbouring folds whose batches are of one size."""

    folds: slice
    clips: Tensor
    """(F, B), which of all."""
    changes: Changes
    """(F B, ...) each."""
    order: Tensor | None
    """(F, B), which clips of the batch they are blended with, if they are."""
    share: Tensor
    """(F,), of the former."""
    rates: Tensor
    """(F, 3): the learning rate, and what Adam's two means fall short of at this step."""


def fit_together(
    learners: Sequence[Learner],
    inputs: InputTensors,
    targets: Targets,
    classes: int,
    trainer: TrainerConfig,
    auxiliary: Mapping[str, float] | None = None,
    on_epoch: Callable[[], object] = lambda: None,
) -> list[list[float] | TrainingDiverged]:
    """Train the networks in place; return of each its mean losses by epoch, or that it diverged.

    Args:
        learners: The folds.
        inputs: All clips, on the device where they are learned.
        targets: What is known of them.
        classes: K.
        trainer: The recipe.
        auxiliary: Weight of each auxiliary loss of the networks; one that is not named counts 1.
        on_epoch: Is called after each epoch of all of them.
    """
    order = sorted(range(len(learners)), key=lambda fold: -len(learners[fold].clips))
    stack = _Stack([learners[fold] for fold in order], inputs, targets, classes, trainer)
    found = stack.train(TrainingLoss(targets, trainer, auxiliary or {}), on_epoch)
    return [found[order.index(fold)] for fold in range(len(learners))]


class _Stack:
    """Folds side by side, those with most clips first."""

    def __init__(
        self,
        learners: Sequence[Learner],
        inputs: InputTensors,
        targets: Targets,
        classes: int,
        trainer: TrainerConfig,
    ) -> None:
        self.learners, self.inputs, self.targets, self.trainer = learners, inputs, targets, trainer
        self.device = targets.labels.device
        shapes = {name: clips.shape[1:] for name, clips in inputs.items()}
        self.draws = [Draws(shapes, len(one.clips), trainer, one.seed) for one in learners]
        self.steps_done = [0] * len(learners)
        self.state = _State([one.network for one in learners], trainer)
        self.chance = Chance([one.chance for one in learners])
        self.divisors = {
            name: torch.stack([one.divisors[name] for one in learners]).to(self.device)
            for name in learners[0].divisors
        }
        facts = [Rarity.of(targets.at(one.clips.to(self.device)), classes) for one in learners]
        units = [fact.units for fact in facts if fact.units is not None]
        self.rarity = Rarity(
            torch.stack([fact.classes for fact in facts]), torch.stack(units) if units else None
        )

    def train(
        self, loss: TrainingLoss, on_epoch: Callable[[], object]
    ) -> list[list[float] | TrainingDiverged]:
        """Train to the end; return what `fit_together` does, in the order of the stack."""
        epochs = [self.trainer.epochs_for(draws.count) for draws in self.draws]
        histories: list[list[float]] = [[] for _ in self.learners]
        for _ in range(max(epochs)):
            losses: list[tuple[slice, Tensor]] = []
            with warnings.catch_warnings():  # of single operators that go fold by fold
                warnings.filterwarnings("ignore", "There is a performance drop", UserWarning)
                for step in self._epoch():
                    losses.append((step.folds, self._step(step, loss)))
            for fold, mean in self._means(losses).items():
                histories[fold].append(mean)
            on_epoch()
            if not any(math.isfinite(history[-1]) for history in histories):
                break  # nobody is left
        self.state.give_back([one.network for one in self.learners])
        return [
            next(
                (
                    diverged(mean, epoch, total, self.trainer)
                    for epoch, mean in enumerate(history, start=1)
                    if not math.isfinite(mean)
                ),
                history,
            )
            for history, total in zip(histories, epochs, strict=True)
        ]

    def _step(self, step: _Step, loss: TrainingLoss) -> Tensor:
        """Take a step; return the loss of each of its folds, (F,)."""
        folds = step.folds
        asked = self.targets.at(step.clips)
        blended = None
        if step.order is not None:
            blended = self.targets.at(step.clips.gather(1, step.order))
        rarity = tuple(each[folds] for each in self.rarity if each is not None)

        def one(
            numbers: Mapping[str, Tensor],
            which: Tensor,
            inputs: tuple[Tensor, ...],
            rarity: tuple[Tensor, ...],
            asked: tuple[Tensor, ...],
            blended: tuple[Tensor, ...],
            share: Tensor,
        ) -> Tensor:
            self.chance.which = which
            output = functional_call(self.state.skeleton, numbers, inputs)
            other = Targets(*blended) if blended else None
            return loss.of(output, Rarity(*rarity), Targets(*asked), other, share)

        weights = self.state.weights[folds].detach().requires_grad_()
        parts = self.state.parts(weights)
        self.chance.generators = [learner.chance for learner in self.learners[folds]]
        which = torch.arange(len(step.clips), device=self.device)
        with self.chance:
            losses: Tensor = vmap(one)(
                self.state.numbers(parts, folds), which, self._changed(step), rarity,
                _plain(asked), _plain(blended), step.share,
            )  # fmt: skip
        gradients = torch.autograd.grad(losses.sum(), parts, allow_unused=True)
        self.state.descend(folds, gradients, step.rates)
        return losses.detach()

    def _changed(self, step: _Step) -> tuple[Tensor, ...]:
        """Return the clips of a step as networks take them, augmented, (F, B, ...) each."""
        count, size = step.clips.shape
        inputs = {name: images[step.clips.flatten()] for name, images in self.inputs.items()}
        for name, by in self.divisors.items():
            by = by[step.folds].repeat_interleave(size, 0)  # (F B, C)
            inputs[name] = inputs[name] / by[..., None, None]
        inputs = change(inputs, step.changes)
        inputs = {name: x.view(count, size, *x.shape[1:]) for name, x in inputs.items()}
        if step.order is not None:
            blended: dict[str, Tensor] = vmap(blend)(inputs, step.order, step.share)
            inputs = blended
        return tuple(inputs.values())

    def _epoch(self) -> list[_Step]:
        """Draw an epoch of every fold and bring it to the device, before its first step."""
        drawn = [list(draws) for draws in self.draws]
        steps = []
        for number in range(max(map(len, drawn))):
            sizes = [len(own[number].places) if number < len(own) else 0 for own in drawn]
            for size, run in itertools.groupby(range(len(drawn)), key=sizes.__getitem__):
                folds = list(run)
                if size:
                    steps.append(self._gathered(folds, [drawn[fold][number] for fold in folds]))
        return _shipped(steps, self.device)

    def _gathered(self, folds: Sequence[int], drawn: Sequence[Drawn]) -> _Step:
        """Return the batches of neighbouring folds as one step."""
        rates = []
        for fold in folds:
            self.steps_done[fold] += 1
            rates.append(_rates(self.trainer, self.steps_done[fold], self.draws[fold].count))
        flipped, by, angles, factors = (
            None if each[0] is None else torch.cat(each)
            for each in zip(*(own.changes[:4] for own in drawn), strict=True)
        )
        noise = {
            name: torch.cat([own.changes.noise[name] for own in drawn])
            for name in drawn[0].changes.noise
        }
        orders = [own.order for own in drawn if own.order is not None]
        kind = self.state.weights.dtype
        return _Step(
            slice(folds[0], folds[-1] + 1),
            torch.stack(
                [self.learners[f].clips[d.places] for f, d in zip(folds, drawn, strict=True)]
            ),
            Changes(flipped, by, angles, factors, noise),
            torch.stack(orders) if orders else None,
            torch.tensor([own.share for own in drawn], dtype=kind),
            torch.tensor(rates, dtype=kind),
        )

    def _means(self, losses: Sequence[tuple[slice, Tensor]]) -> dict[int, float]:
        """Return the mean loss of each fold that has taken a step in an epoch."""
        own: dict[int, list[float]] = {}
        values = torch.cat([loss for _, loss in losses]).tolist()  # the one wait for the device
        folds = (fold for folds, loss in losses for fold in range(folds.start, folds.stop))
        for fold, value in zip(folds, values, strict=True):
            own.setdefault(fold, []).append(value)
        return {fold: math.fsum(each) / len(each) for fold, each in own.items()}


class _State:
    """All numbers of the networks, and how the trained ones go down their gradient.

    Args:
        networks: One a fold.
        trainer: The recipe.
    """

    def __init__(self, networks: Sequence[nn.Module], trainer: TrainerConfig) -> None:
        self.trainer = trainer
        self.skeleton = copy.deepcopy(networks[0]).to("meta")
        learned = list(trained(networks[0]))
        self.shapes = {name: parameter.shape for name, parameter, _ in learned}
        self.sizes = [shape.numel() for shape in self.shapes.values()]
        parameters, buffers = stack_module_state(list(networks))
        rows = [parameters[name].reshape(len(networks), -1) for name in self.shapes]
        self.weights = torch.cat(rows, 1).detach()
        """(F, P), row by row those of a fold."""
        rest = {name: value for name, value in parameters.items() if name not in self.shapes}
        self.rest = {name: value.detach() for name, value in {**rest, **buffers}.items()}
        decays = [torch.full((p.numel(),), float(decay)) for _, p, decay in learned]
        self.decay = trainer.weight_decay * torch.cat(decays).to(self.weights)
        """(P,), found on a network alone, where a norm still has one axis."""
        shares = [lr_share(p) for _, p, _ in learned]
        self.share: Tensor | None = None
        """(P,), of the learning rate; None where all have the whole of it."""
        if any(share != 1 for share in shares):
            parts = [
                torch.full((p.numel(),), s) for (_, p, _), s in zip(learned, shares, strict=True)
            ]
            self.share = torch.cat(parts).to(self.weights)
        many = 1 if trainer.optimizer == "sgd" else 2
        self.means = [torch.zeros_like(self.weights) for _ in range(many)]

    def parts(self, numbers: Tensor) -> tuple[Tensor, ...]:
        """Return what there is of each trained number, (..., P), by parameter, as views."""
        return torch.split(numbers, self.sizes, dim=-1)

    def numbers(self, parts: Sequence[Tensor], folds: slice) -> dict[str, Tensor]:
        """Return all numbers of some folds by name, the trained ones views of `parts`."""
        named = zip(self.shapes.items(), parts, strict=True)
        own = {name: part.view(len(part), *shape) for (name, shape), part in named}
        return {**own, **{name: value[folds] for name, value in self.rest.items()}}

    def descend(self, folds: slice, gradients: Sequence[Tensor | None], rates: Tensor) -> None:
        """Clip the gradients of some folds and take the optimizer's step.

        Args:
            folds: Which.
            gradients: By trained parameter; of one that nothing reads None, and it stays.
            rates: (F, 3), as a step has them.
        """
        trainer = self.trainer
        rows = []
        for part, decay, found in zip(
            self.parts(self.weights[folds]), self.parts(self.decay), gradients, strict=True
        ):
            if found is None:
                decay.zero_()
            rows.append(torch.zeros_like(part) if found is None else found)
        gradient = torch.cat(rows, 1)
        if trainer.clip_norm is not None:
            norm = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
            gradient = gradient * (trainer.clip_norm / (norm + 1e-6)).clamp(max=1)
        weights, means = self.weights[folds], [mean[folds] for mean in self.means]
        rate, first, second = rates.unsqueeze(-1).unbind(1)  # (F, 1) each
        rate = rate if self.share is None else rate * self.share
        if trainer.optimizer == "adamw":
            weights.mul_(1 - rate * self.decay)
        elif trainer.weight_decay:
            gradient = gradient + self.decay * weights
        if trainer.optimizer == "sgd":
            means[0].mul_(_MOMENTUM).add_(gradient)
            weights.sub_(rate * (gradient + _MOMENTUM * means[0]))
            return
        means[0].lerp_(gradient, 1 - _BETAS[0])
        means[1].mul_(_BETAS[1]).addcmul_(gradient, gradient, value=1 - _BETAS[1])
        spread = means[1].sqrt().div_(second.sqrt()).add_(_EPS)
        weights.sub_(means[0] / spread * (rate / first))

    def give_back(self, networks: Sequence[nn.Module]) -> None:
        """Write the numbers of each fold into its network."""
        numbers = self.numbers(self.parts(self.weights), slice(None))
        for fold, network in enumerate(networks):
            network.load_state_dict(
                {name: value[fold] for name, value in numbers.items()}, strict=False
            )


def _rates(trainer: TrainerConfig, step: int, clips: int) -> tuple[float, float, float]:
    """Return the learning rate of a step, counted from 1, and Adam's corrections there."""
    rate = trainer.lr * trainer.lr_factor(step - 1, clips)
    return rate, 1 - _BETAS[0] ** step, 1 - _BETAS[1] ** step


def _plain(targets: Targets | None) -> tuple[Tensor, ...]:
    """Return what is known of clips as `vmap` takes it: without what is None."""
    known = () if targets is None else (targets.labels, targets.action_units)
    return tuple(each for each in known if each is not None)


def _shipped(steps: Sequence[_Step], device: torch.device) -> list[_Step]:
    """Bring what was drawn to a device, in as many copies as it has types."""
    if device.type == "cpu":
        return list(steps)
    drawn: dict[torch.dtype, list[Tensor]] = {}

    def pack(each: Tensor) -> Tensor:
        drawn.setdefault(each.dtype, []).append(each)
        return each

    for step in steps:
        _mapped(step, pack)
    parts = {
        kind: iter(
            torch.split(
                torch.cat([each.flatten() for each in own]).to(device),
                [each.numel() for each in own],
            )
        )
        for kind, own in drawn.items()
    }
    return [_mapped(step, lambda each: next(parts[each.dtype]).view(each.shape)) for step in steps]


def _mapped(step: _Step, do: Callable[[Tensor], Tensor]) -> _Step:
    """Return a step with something done to all that was drawn for it."""
    flipped, by, angles, factors = (
        None if each is None else do(each) for each in step.changes[:4]
    )
    noise = {name: do(each) for name, each in step.changes.noise.items()}
    return _Step(
        step.folds,
        do(step.clips),
        Changes(flipped, by, angles, factors, noise),
        None if step.order is None else do(step.order),
        do(step.share),
        do(step.rates),
    )
