"""`handpose plan`: what would run, and why."""
