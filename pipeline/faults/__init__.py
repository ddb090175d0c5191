"""`handpose data faults` and `exclude`: suspicious annotations, ranked, shown, and left out."""
