"""A trained model as a folder that can be passed on: weights, records, numbers, card."""
