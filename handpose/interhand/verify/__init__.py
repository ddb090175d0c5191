"""Checks of a download of InterHand2.6M, run before hours are spent on it."""
