"""`handpose data`: is the download whole, what does the loader feed, what was left out."""
