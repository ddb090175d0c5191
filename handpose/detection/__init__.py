"""Where hands are in a photo: palms, by a detector whose file the user has.

Imports `data` and the top-level modules.
"""
