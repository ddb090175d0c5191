"""Pictures of a triangle mesh: rasteriser, surfaces, shadows. Imports nothing of this
project."""
