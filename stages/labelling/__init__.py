"""How `label` gives classes otherwise than by the gesture map: at random, or by the pose."""
