"""Parts of both training stages: their data, their processes, what they leave behind."""
