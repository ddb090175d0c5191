"""`handpose field`: every row of the paper's table and of the field, ours, imported or missing."""
