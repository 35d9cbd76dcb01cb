"""Where an export comes from, and what was measured of networks like it."""

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from mer_nas.config.base import Config, Tree
from mer_nas.wording import between, count


class ExpectedScore(Config):
    """What to expect of a study's winner on new subjects of the same kind: UF1, in three parts."""

    uf1: float
    """`mean` less `optimism`."""
    low: NonNegativeFloat
    """Of the 95 % interval over subjects, as is the next."""
    high: NonNegativeFloat
    mean: NonNegativeFloat
    """Over the seeds, all subjects held out once."""
    seeds: PositiveInt
    optimism: NonNegativeFloat
    """By how much having been chosen on these subjects flatters the mean."""
    caveat: str = ""
    """Why the optimism is a lower bound, so that less is to be expected; empty: an estimate."""
    candidates: PositiveInt
    """Complete trials among which the choice was made."""
    together: bool = False
    """Whether several of them were chosen, to answer together, and not the best one."""

    @property
    def said(self) -> str:
        """The headline in a sentence.

        >>> ExpectedScore(
        ...     uf1=0.66, low=0.55, high=0.75, mean=0.7, seeds=3, optimism=0.04, candidates=9
        ... ).said.partition(": ")[0]
        'UF1 0.660 [0.550, 0.750] on new subjects'
        """
        choice = "choosing among" if self.together else "the best of"
        trials = f"{choice} {count(self.candidates, 'complete trial')}"
        within = between(self.low, self.high)
        if self.caveat:
            return (
                f"UF1 at most {self.uf1:.3f} on new subjects: {self.mean:.3f} less at least "
                f"{self.optimism:.3f} for {trials}; that bound has the interval "
                f"{within}"
            )
        return (
            f"UF1 {self.uf1:.3f} {within} on new subjects: {self.mean:.3f} less "
            f"{self.optimism:.3f} for {trials}"
        )


class Provenance(Config):
    """Where an export comes from: what the study knows and its networks do not."""

    study: str
    label: str
    """How the study calls it: "trial 17", "prog_s" or "ensemble of 5"."""
    rule: str = ""
    """How the members of an ensemble and their weights were chosen; empty: it is none."""
    handed_over: bool = False
    """Whether it is an ensemble that the study recommends in place of its winner."""
    command: str
    """The command line that made the study."""
    code_version: str
    """Hash of the files that can change a score, of the code that measured the scores."""
    trained_by: str = ""
    """The same of the code that trained these weights, where that was another; else empty."""
    environment: Tree
    """Python, machine and package versions."""
    scaling: dict[str, str] = Field(default_factory=dict)
    """By input: what was done to its values; those not named are as the data set gives them."""
    protocol: str
    """How the scores below were measured: "LOSO"."""
    seeds: NonNegativeInt = 0
    """Repetitions of the protocol behind the scores; 0 where it was not measured."""
    uf1: NonNegativeFloat | None = None
    """Mean over the repetitions, as are the next two."""
    uar: NonNegativeFloat | None = None
    accuracy: NonNegativeFloat | None = None
    uf1_spread: NonNegativeFloat | None = None
    """Standard deviation of UF1 over the repetitions."""
    worth: ExpectedScore | None = None
    """What to expect on new subjects; None where it is no winner, or nothing is known of it."""
    extensions: tuple[str, ...] = ()
    """Files with blocks of the user's own, to be loaded before the network can be rebuilt; in the
    folder of the export, or by their paths in exports of before."""
