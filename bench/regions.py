"""What share of new people's joints the released model's 90 % regions hold.

    python -m bench.regions                # 80 people, 1,600 images
    python -m bench.regions 12 600

No benchmark of time. It renders people as the released model was trained on, of a seed that nothing
else has, and prints the share of their joints within their regions; the standard error is over
people. Then it calibrates on a few of these people, many times, and says what the regions hold of
the joints of all others: by the quantile of all errors, and by `people_factor`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from handpose.confidence.calibration import REGION, conformal_factor, people_factor
from handpose.confidence.head_fit import HeadExamples, join_examples
from handpose.estimator import HandEstimator
from handpose.predict import Predictor
from pipeline.confidence.judged import judge
from pipeline.release.new_people import MEASUREMENT, new_people
from pipeline.release.release import wide_spec

PEOPLE, IMAGES = 80, 1600
FEW = (2, 3, 5, 10, 20)
DRAWS = 200
WANTED = (0.88, 0.92)


class Ratios(NamedTuple):
    """Errors divided by predicted scales of n joints, and whose they are."""

    of: str
    values: Tensor  # (n,)
    people: Tensor  # (n,)
    factor: float  # of the released head


def ratios(predictor: Predictor, examples: HeadExamples) -> Iterator[Ratios]:
    """In the image and in 3D.

    Raises:
        ValueError: the model has no confidence head.
    """
    if predictor.confidence is None:
        raise ValueError("the released model has no confidence head")
    with torch.no_grad():
        found = predictor.confidence(examples.seen)
    person = examples.person[:, None].expand_as(examples.valid)
    for of, errors, logs, known, factor in zip(
        ("in the image", "in 3D"),
        (examples.error_px, examples.error_m),
        (found.log_px, found.log_m),
        (examples.valid, examples.rooted),
        predictor.confidence.factors[:2].tolist(),
        strict=True,
    ):
        yield Ratios(of, (errors / logs.exp())[known], person[known], factor)


def everybody(own: Ratios) -> list[int]:
    """Each person once."""
    return sorted(set(own.people.tolist()))


def held(own: Ratios) -> Tensor:
    """Share of each person's joints that the released regions hold."""
    inside = (own.values <= own.factor).double()
    return torch.stack([inside[own.people == one].mean() for one in everybody(own)])


def by_few(own: Ratios, count: int, generator: torch.Generator) -> list[Tensor]:
    """Shares of the others' joints after calibrations on so few people: pooled, and by people."""
    people = torch.tensor(everybody(own))
    shares = []
    for _ in range(DRAWS):
        order = torch.randperm(len(people), generator=generator)
        few = torch.isin(own.people, people[order[:count]])
        errors, ones = own.values[few], torch.ones(int(few.sum()))
        factors = conformal_factor(errors, ones), people_factor(errors, ones, own.people[few])
        shares.append([(own.values[~few] <= f).double().mean().item() for f in factors])
    return list(torch.tensor(shares, dtype=torch.float64).T)


def report(own: Ratios) -> Iterator[str]:
    """Lines on what the released regions hold, and what those of few people would."""
    of_each = held(own)
    mean, spread = of_each.mean().item(), of_each.std().item()
    deviation = spread / len(of_each) ** 0.5
    needed = people_factor(own.values, torch.ones_like(own.values), own.people)
    yield (
        f"{own.of}: {100 * mean:.1f} +- {100 * deviation:.1f} % of the joints of "
        f"{len(of_each)} people, {len(own.values):,} joints; people differ by {100 * spread:.1f} % "
        f"(standard deviation), from {100 * of_each.min():.0f} to {100 * of_each.max():.0f} %; a "
        f"factor of {needed:.3f} would hold {REGION:.0%}, the head has {own.factor:.3f}"
    )
    generator = torch.Generator().manual_seed(0)
    for count in (few for few in FEW if 2 * few <= len(of_each)):
        tried = by_few(own, count, generator)
        for name, shares in zip(("all errors", "by people"), tried, strict=True):
            within = ((shares >= WANTED[0]) & (shares <= WANTED[1])).double().mean()
            yield (
                f"  calibrated on {count:2} people, {name}: {100 * shares.mean():.1f} % of the "
                f"others' joints, {100 * shares.std():.1f} % from calibration to calibration; "
                f"{within:.0%} of them within {WANTED[0]:.0%} to {WANTED[1]:.0%}"
            )


def main(people: int = PEOPLE, images: int = IMAGES) -> None:
    """Measure and print."""
    predictor = HandEstimator.released()._predictor
    views = new_people(predictor, wide_spec(), seed=MEASUREMENT, people=people, images=images)
    examples = join_examples(list(judge(predictor, views)))
    for own in ratios(predictor, examples):
        print(*report(own), sep="\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(*map(int, sys.argv[1:]))
