"""What a wider data set adds around the hand and in the camera, each drawn from its own generator.

Backdrops (`backdrop` chooses among `studio`, `photo_backdrop` and `clutter`), what covers the hand
(`occluder`), and a worse camera (`degradation`). Colours are linear.
"""
