"""`handpose evaluate shifted`: this clone's models on test sets unlike their training data."""
