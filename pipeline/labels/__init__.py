"""`handpose labels`: edits of the gesture map, what they mean, and the evidence for and against."""
