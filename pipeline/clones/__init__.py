"""Clones of the repository in which training runs with other parameters, and their machine."""
