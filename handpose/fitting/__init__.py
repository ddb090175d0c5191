"""Hand parameters from points: the inverse of the hand model, batched, without a network.

Imports `hand` and the modules beside the packages, and no other package.
"""
