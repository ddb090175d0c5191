"""`handpose configure`: profiles of `params.yaml`, and overrides of single keys."""
