"""`handpose mano import`: plain arrays from the official MANO pickle, without running it."""
