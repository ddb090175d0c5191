"""Shifted test sets, for the stages `shift` and `score` and for `handpose evaluate shifted`."""
