"""Motion of a synthetic hand: from rest to the peak of a gesture and back, or free motion.

Angles are those of `synthetic/articulation.py`, in degrees. T is the number of frames; `phase` runs
from 0 at the start of a sequence to 1 at its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from handpose.render.smoothstep import smoothstep
from handpose.synthetic.articulation import ANGLES, DIGITS, GesturePose
from handpose.synthetic.movement.free_pose import FreePoses

Array = NDArray[np.floating[Any]]

RISE = 0.25
"""Fraction of a sequence in which the gesture is formed, and again in which it is released."""
ONSET_JITTER = 0.03
"""Standard deviation of a digit's onset, as a fraction of the sequence."""
SWAY = 0.05
"""Amplitude modulation of a held gesture, as a fraction."""
TREMOR_SHARE = 0.5
"""Fraction of the jitter's variance that changes per frame; the rest is constant in a sequence."""
DIP_COUPLING = 0.6
"""Coupling of a finger's DIP angle to its PIP angle."""
LOOSE = {"abduction": 0.4, "oppose": 0.5, "spread": 0.5, "twist": 0.0}
"""Jitter of angles other than MCP and PIP, relative to theirs."""
POSITION_M = 0.012
WRIST_DEG = 6.0

CYCLES = {"wave": 6.0, "rock": 4.0, "tap": 5.0, "open": 3.0, "close": 3.0}
WRIST_SWING_DEG = {"wave": (0.0, 22.0, 0.0), "rock": (16.0, 0.0, 0.0)}
"""Swing of pitch, yaw and roll."""
RELEASE = {"tap": 0.35, "open": 0.3, "close": 0.4}
"""Fraction of the amplitude that is periodically released."""

WRIST_ROM_DEG = (55.0, 28.0, 60.0)
ROM_KEYS = 6


class Motion(NamedTuple):
    """One hand over the frames of a sequence."""

    angles: Array  # (T, 21) degrees
    wrist: Array  # (T, 3) degrees: pitch, yaw, roll of an upright hand that shows its palm
    position: Array  # (T, 3) m, centre of the hand in the rig's frame


def gesture_motion(
    rng: np.random.Generator,
    phase: Array,
    rest: GesturePose,
    peak: GesturePose,
    jitter_deg: float,
    rise: float = RISE,
) -> Motion:
    """Rest, peak, rest over 25, 50 and 25 % of the sequence, each digit with its own onset.

    Args:
        rng: of the sequence.
        phase: (T,) 0..1.
        rest: the relaxed hand.
        peak: the gesture.
        jitter_deg: standard deviation of MCP and PIP angles.
        rise: fraction of the sequence in which the gesture is formed, and again released.
    """
    cycles = CYCLES.get(peak.motion, 1.0) * RISE / rise
    cycle = np.sin(2 * np.pi * cycles * phase + rng.uniform(0, 2 * np.pi))
    release = RELEASE.get(peak.motion, SWAY if peak.motion == "rise" else 0.0)
    held = 1 - release * (0.5 + 0.5 * cycle)  # (T,)
    onsets = rng.normal(0, ONSET_JITTER, len(DIGITS))
    amount = np.stack([_envelope(phase + onset, rise) * held for onset in onsets], 1)  # (T, 5)
    digit = [list(DIGITS).index(name.split(".")[0]) for name in ANGLES]
    angles = rest.angles + amount[:, digit] * (peak.angles - rest.angles)  # (T, 21)
    swing = np.outer(cycle, WRIST_SWING_DEG.get(peak.motion, (0, 0, 0)))  # (T, 3)
    wrist = _envelope(phase, rise)[:, None] * (peak.wrist + swing)
    return _perturbed(rng, Motion(angles, wrist, np.zeros((len(phase), 3))), jitter_deg)


def free_motion(
    rng: np.random.Generator,
    phase: Array,
    poses: Sequence[GesturePose],
    jitter_deg: float,
    turns_wrist: bool,
) -> Motion:
    """Range of motion: smoothly through random poses, or mostly rotation of the wrist."""
    keys = rng.choice(len(poses), ROM_KEYS + 1)
    strength = rng.uniform(0.2, 0.5) if turns_wrist else rng.uniform(0.6, 1.0)
    angles = strength * through(np.stack([poses[k].angles for k in keys]), phase)
    wrist = _turning(rng, phase, 1.0 if turns_wrist else 0.3)
    return _perturbed(rng, Motion(angles, wrist, np.zeros((len(phase), 3))), jitter_deg)


def varied_motion(
    rng: np.random.Generator, phase: Array, poses: FreePoses, jitter_deg: float
) -> Motion:
    """Smoothly through free poses, a new one every two frames, while the wrist turns.

    Between two poses digits may meet in the same place: such a frame takes the nearer pose.
    """
    keys = poses.draw(rng, max(2, len(phase) // 2 + 1))
    angles = through(keys, phase)
    nearer = keys[np.rint(np.clip(phase, 0, 1) * (len(keys) - 1)).astype(int)]
    meets = poses.overlap_m(angles) > 0
    angles = np.where(meets[:, None], nearer, angles)
    wrist = _turning(rng, phase, rng.uniform(0.3, 1.0))
    return _perturbed(rng, Motion(angles, wrist, np.zeros((len(phase), 3))), jitter_deg)


def through(keys: Array, phase: Array) -> Array:
    """From pose to pose, at rest in each: keys (K, 21), phase (T,) 0..1 -> (T, 21)."""
    last = len(keys) - 1
    progress = np.clip(phase, 0, 1) * last
    before = np.minimum(progress.astype(int), last - 1)
    share = smoothstep(progress - before, 0, 1)[:, None]
    return np.asarray((1 - share) * keys[before] + share * keys[before + 1])


def _turning(rng: np.random.Generator, phase: Array, amount: float) -> Array:
    """Pitch, yaw and roll that swing at their own paces: (T, 3) degrees."""
    cycles = rng.uniform(1, 3, 3)
    swing = np.sin(2 * np.pi * (phase[:, None] * cycles + rng.uniform(0, 1, 3)))  # (T, 3)
    return np.asarray(swing * np.array(WRIST_ROM_DEG) * amount)


def _perturbed(rng: np.random.Generator, motion: Motion, jitter_deg: float) -> Motion:
    """Add jitter per sequence and per frame: nobody repeats a gesture exactly."""
    count = len(motion.angles)
    noise = _jitter(rng, count, len(ANGLES)) * jitter_deg  # (T, 21)
    by_name = dict(zip(ANGLES, noise.T, strict=True))
    for name in ANGLES:
        digit, angle = name.split(".")
        by_name[name] *= LOOSE.get(angle, 1.0)
        if angle in ("DIP", "IP"):
            leader = f"{digit}.{'PIP' if angle == 'DIP' else 'MCP'}"
            by_name[name] = DIP_COUPLING * by_name[leader] + 0.3 * by_name[name]
    return Motion(
        motion.angles + np.stack([by_name[name] for name in ANGLES], 1),
        motion.wrist + _jitter(rng, count, 3) * WRIST_DEG * (1, 1, 2),
        motion.position + _jitter(rng, count, 3) * POSITION_M,
    )


def _jitter(rng: np.random.Generator, count: int, columns: int) -> Array:
    """Unit normal noise, part of it constant over the frames: (count, columns)."""
    steady = rng.normal(0, np.sqrt(1 - TREMOR_SHARE), columns)
    return steady + rng.normal(0, np.sqrt(TREMOR_SHARE), (count, columns))


def _envelope(phase: Array, rise: float) -> Array:
    """0 at both ends, 1 in the middle: (T,)."""
    return smoothstep(np.minimum(phase, 1 - phase) / rise, 0, 1)
