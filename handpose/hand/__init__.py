"""The hand itself, from any source: joints, rotations, camera, mirror, MANO.

Imports the top-level modules and no other package.
"""
