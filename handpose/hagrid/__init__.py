"""HaGRIDv2's own files: boxes and gestures of hands in everyday photos, without any 3D.

Imports `data` and `hand`; and the gesture map, whose classes its gestures join.
"""
