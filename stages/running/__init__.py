"""How a stage runs: as a command, with progress lines, and with a manifest beside its data."""
