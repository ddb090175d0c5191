"""The second derivative of a fit's cost, solved digit by digit.

The points of a digit are moved by its own joints and by what all digits share, so the angles of two
digits meet in no point. Without these blocks the matrix is an arrowhead: five blocks of 9 x 9 and a
border of 16, which are factored in about half the time of 61 x 61. Points of the skin between two
digits are an exception; a step is a little off by them, the fit is not.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

DIGITS, ANGLES, SHARED = 5, 9, 3 + 10 + 3
"""Chains of three joints; unknowns of each; root, betas and translation."""

UNKNOWNS = 3 + DIGITS * ANGLES + 10 + 3
"""Rotation of the root in space, angles, betas, translation; in this order."""

POSE, BETAS, TRANSL = slice(3, 48), slice(48, 58), slice(58, 61)
SHARED_BETAS, SHARED_TRANSL = slice(3, 13), slice(13, 16)
"""Where these are among the shared unknowns."""


class ArrowMatrix(NamedTuple):
    """Symmetric matrices (N, 61, 61) without what two digits have in common."""

    digits: Tensor  # (N, 5, 9, 9)
    border: Tensor  # (N, 5, 9, 16)
    shared: Tensor  # (N, 16, 16)

    @classmethod
    def of(cls, whole: Tensor) -> ArrowMatrix:
        """The parts of matrices (N, 61, 61), copied."""
        blocks = whole[:, POSE, POSE].view(-1, DIGITS, ANGLES, DIGITS, ANGLES)
        columns = torch.cat([whole[..., :3], whole[..., 48:]], -1)  # (N, 61, 16)
        return cls(
            blocks.diagonal(dim1=1, dim2=3).movedim(-1, 1).contiguous(),
            columns[:, POSE].reshape(-1, DIGITS, ANGLES, SHARED),
            torch.cat([columns[:, :3], columns[:, 48:]], 1),
        )

    @classmethod
    def empty(cls, count: int) -> ArrowMatrix:
        """Memory for N = `count` matrices."""
        return cls(
            torch.empty(count, DIGITS, ANGLES, ANGLES),
            torch.empty(count, DIGITS, ANGLES, SHARED),
            torch.empty(count, SHARED, SHARED),
        )

    def solve(self, right: Tensor, damping: Tensor) -> tuple[Tensor, Tensor]:
        """The x of (M + damping * diagonal of M) x = right, and where there is one.

        Args:
            right: (N, 61).
            damping: (N,), relative to the diagonal.

        Returns:
            x (N, 61), and (N,) bool: whether the damped matrix is positive definite.
        """
        of_digits = right[:, POSE].view(-1, DIGITS, ANGLES, 1)
        of_shared = torch.cat([right[:, :3], right[:, 48:]], 1)
        factor, failed = torch.linalg.cholesky_ex(_damped(self.digits, damping[:, None]))
        half = torch.linalg.solve_triangular(
            factor, torch.cat([self.border, of_digits], -1), upper=False
        )  # (N, 5, 9, 17)
        flat = half.flatten(1, 2)
        taken = flat.mT @ flat  # (N, 17, 17)
        rest, rest_failed = torch.linalg.cholesky_ex(
            _damped(self.shared, damping) - taken[:, :SHARED, :SHARED]
        )
        x = torch.cholesky_solve((of_shared - taken[:, :SHARED, SHARED])[..., None], rest)
        own = half[..., SHARED:] - half[..., :SHARED] @ x[:, None]
        angles = torch.linalg.solve_triangular(factor.mT, own, upper=True)
        x = x[..., 0]
        whole = torch.cat([x[:, :3], angles.flatten(1), x[:, 3:]], 1)
        return whole, (rest_failed == 0) & (failed == 0).all(1)

    def inverse(self) -> tuple[Tensor, Tensor]:
        """Of the inverse, the angles' diagonal (N, 45) and the shared unknowns (N, 16, 16)."""
        factor, _ = torch.linalg.cholesky_ex(self.digits)
        by_shared = torch.cholesky_solve(self.border, factor)  # (N, 5, 9, 16)
        taken = self.border.flatten(1, 2).mT @ by_shared.flatten(1, 2)
        rest, _ = torch.linalg.cholesky_ex(self.shared - taken)
        shared = torch.cholesky_inverse(rest)  # (N, 16, 16)
        own = torch.cholesky_inverse(factor).diagonal(dim1=2, dim2=3)  # (N, 5, 9)
        through = by_shared.flatten(1, 2)  # (N, 45, 16)
        return own.flatten(1) + ((through @ shared) * through).sum(-1), shared

    def rows(self, index: Tensor) -> ArrowMatrix:
        """Some of the matrices."""
        return ArrowMatrix(*(part[index] for part in self))


def _damped(matrices: Tensor, damping: Tensor) -> Tensor:
    """Matrices (..., M, M) whose diagonals grow by a share of themselves (...)."""
    damped = matrices.clone()
    diagonal = damped.diagonal(dim1=-2, dim2=-1)
    diagonal *= 1 + damping[..., None]
    return damped
