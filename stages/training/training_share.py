"""A part of the training images: `pretrain.labelled_share` and `pose.annotated_share`.

Whole sequences are chosen, a person's performances of one gesture folder: their images are nearly
equal, so single images of all of them would hardly be fewer labels. The classes take turns, so that
few sequences hold as many of them as they can.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Any, NamedTuple

from handpose.counted import counted
from handpose.data.labels import ClassIds, class_of
from handpose.data.tar import sample_key
from handpose.sample import UNLABELLED


class SequenceKey(NamedTuple):
    """A sequence of the training data."""

    folder: str
    subject: int
    session: int


@dataclass(frozen=True)
class TrainingPart:
    """The images that were chosen."""

    sample_ids: Sequence[int]
    sequences: Sequence[SequenceKey]
    classes: int  # fine ones among them
    of_images: int  # that there were to choose from
    unlabelled: bool  # whether those without a gesture were among them

    def __str__(self) -> str:
        """`40 of 4,320 labelled images: 10 sequences of 7 people in 10 fine classes`."""
        image = "image" if self.unlabelled else "labelled image"
        people = counted(len({one.subject for one in self.sequences}), "person", "people")
        return (
            f"{len(self.sample_ids):,} of {counted(self.of_images, image)}: "
            f"{counted(len(self.sequences), 'sequence')} of {people} in "
            f"{counted(self.classes, 'fine class', 'fine classes')}"
        )

    def counts(self) -> dict[str, int]:
        """The same numbers for metrics.json."""
        return {
            "images": len(self.sample_ids),
            "of_images": self.of_images,
            "sequences": len(self.sequences),
            "people": len({one.subject for one in self.sequences}),
            "fine_classes": self.classes,
        }


def choose(
    labels: Iterable[Mapping[str, Any]],
    classes: Mapping[str, ClassIds],
    share: float,
    seed: int,
    *,
    unlabelled: bool = False,
) -> TrainingPart:
    """The first sequences, in an order of this seed, that hold the share of the images.

    A smaller share is a part of a larger one. The last sequence may exceed the share.

    Args:
        labels: of the training samples, as shards have them (`data/records.py`), in any order.
        classes: by folder or by image; a sequence whose images differ counts as its first one.
        share: above 0, up to 1.
        seed: of the order.
        unlabelled: choose from images without a gesture too; they take their turn as one class.
    """
    images: defaultdict[SequenceKey, list[tuple[int, int]]] = defaultdict(list)  # number, class
    for label in labels:
        number, folder = label["sample_id"], label["sequence"]
        fine = class_of(classes, sample_key(number), folder, label["kind"]).fine
        if unlabelled or fine != UNLABELLED:
            key = SequenceKey(folder, label["subject"], label["session"])
            images[key].append((number, fine))
    total = sum(map(len, images.values()))
    fine_of = {key: min(found)[1] for key, found in images.items()}
    chosen: list[SequenceKey] = []
    taken: list[int] = []
    for key in _in_turns(fine_of, random.Random(f"{seed} labelled share")):
        if len(taken) >= share * total:
            break
        chosen.append(key)
        taken += [number for number, _ in images[key]]
    found = {fine_of[key] for key in chosen} - {UNLABELLED}
    return TrainingPart(sorted(taken), chosen, len(found), total, unlabelled)


def _in_turns(fine_of: Mapping[SequenceKey, int], order: random.Random) -> list[SequenceKey]:
    """A sequence of each class, then a second one of each, and so on; classes at random."""
    queues: defaultdict[int, list[SequenceKey]] = defaultdict(list)
    for key in sorted(fine_of):
        queues[fine_of[key]].append(key)
    for queue in queues.values():
        order.shuffle(queue)
    classes = sorted(queues)
    order.shuffle(classes)
    rounds = zip_longest(*(queues[number] for number in classes))
    return [key for key in chain.from_iterable(rounds) if key is not None]
