"""What runs the stages: the command line, the stage runner, and tools around `dvc repro`."""
