"""`handpose compare`: two runs, or two sets of runs, on the same samples."""
