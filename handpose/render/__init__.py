"""Rendering of triangle meshes, and pages of captioned pictures.

Imports only `errors` of the modules beside it, and no other package.
"""
