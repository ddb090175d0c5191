"""`handpose evaluate benchmark`: official scores and submission files."""
