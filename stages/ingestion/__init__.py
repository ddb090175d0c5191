"""Parts of the stage `ingest`: samples, rejects, counts, selection."""
