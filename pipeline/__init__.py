"""Who opens the doors: the stage runner, the command line and the report."""
