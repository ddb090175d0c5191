"""`handpose predict`: hands in a user's photos, videos and camera, as pictures and as JSON."""
