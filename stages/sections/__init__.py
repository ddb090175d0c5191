"""The sections of `params.yaml`, one class each; `stages.params` has them all.

Under each field stand its meaning, unit and source, which are its comment in `params.yaml`. "ours"
marks what the paper leaves open (docs/choices.md has the reasons), "paper" what it gives, "paper's
profile" what `handpose configure --profile interhand26m` writes. Imports `handpose.errors` alone.
"""
