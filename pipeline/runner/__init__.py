"""How a stage is started: as a child process that ends with DVC."""
