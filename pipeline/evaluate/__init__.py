"""`handpose evaluate`: imported predictions, benchmarks, shifted test sets."""
