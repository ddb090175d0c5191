"""`handpose compare`: two sets of results on the same samples."""
