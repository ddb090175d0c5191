"""What moved between two results."""
