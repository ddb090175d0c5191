"""The fixtures of a committed clone."""

from tests.pipeline.clones.committed_clone import clone, git

__all__ = ["clone", "git"]
