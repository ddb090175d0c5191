"""Skin finer than the mesh: the lines of palm and back, veins, tendons, mottling and pores."""
