"""Parts of both training stages: data, processes, results."""
