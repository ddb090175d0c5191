"""Predictions of any model in a file: what it states, its rows, and whether both agree.

Imports `hand`, `fitting`, `evaluation` and the top-level modules. docs/imported.md describes the
format.
"""
