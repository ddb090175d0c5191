"""Pictures of a triangle mesh: rasteriser, surfaces, shadows. Imports no other package."""
