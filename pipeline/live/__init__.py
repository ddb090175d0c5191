"""Runs shown live by a Prefect server. May import `pipeline.runner`, `dag` and `profiles`."""
