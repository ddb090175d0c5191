"""Other objectives for Stage 1's backbone than gestures, with heads that are thrown away."""
