"""The pages that the results of experiments make."""
