"""`handpose doctor`: one module per subject of its checks, each check a generator of findings."""
