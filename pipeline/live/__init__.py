"""Runs seen live: a Prefect server, and what is told to it."""
