"""Several data sets as one: readers side by side, what benchmarks share, and whom each names."""
