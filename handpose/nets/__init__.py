"""The networks of the paper; constructors take plain keywords, never a config object."""
