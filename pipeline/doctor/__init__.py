"""What a run would trip over."""
