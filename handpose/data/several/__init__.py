"""Several data sets as one: readers side by side, and what those of benchmarks share."""
