"""`handpose confidence`: a confidence head for a trained model, from the photos of its data set."""
