"""`handpose data`: check a download, draw what the loader feeds, and what was left out."""
