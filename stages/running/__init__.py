"""Inside a stage's process: its command and exit code, progress lines, JSON and the manifest."""
