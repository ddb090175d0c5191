"""`handpose release`: the weights that come with the package, measured and described."""
