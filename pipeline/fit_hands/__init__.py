"""`handpose fit`: hand parameters from a file of joints or meshes."""
