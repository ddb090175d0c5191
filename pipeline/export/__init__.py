"""`handpose export`: a trained model as one file that runs without this package."""
