"""Processes that make batches: `batch_processes` starts them, `batch_server` is what they run."""
