"""HInt: hands in everyday videos with 2D joints alone, scored in pixels and never trained on.

Imports `data`, `hand` and the top-level modules. Facts are those of ddshan/hint.
"""
