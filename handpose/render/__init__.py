"""Pictures of a triangle mesh: rasteriser, surfaces, shadows.

Imports no other module of this project.
"""
