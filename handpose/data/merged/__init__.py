"""Several data sets read as one: the merged reader, formats of fits, units of intervals."""
