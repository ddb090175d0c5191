"""What the joints of a hand can do."""

from __future__ import annotations

from handpose.synthetic.articulation import ANGLES

LIMITS = {
    "MCP": (-20, 95),
    "PIP": (-5, 110),
    "DIP": (-5, 72),
    "abduction": (-18, 24),
    "oppose": (-20, 78),
    "spread": (-32, 32),
    "twist": (-30, 45),
    "IP": (-32, 85),
}
"""Degrees, by the second half of a name in `ANGLES`."""

LOWEST, HIGHEST = zip(*(LIMITS[name.split(".")[1]] for name in ANGLES), strict=True)
"""Of each of `ANGLES`."""
