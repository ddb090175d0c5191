"""The doors: one program a stage, files in, files out (python -m stages.<name>)."""
