"""`handpose experiment`: variants of the pipeline with several seeds, run and compared.

`grid` reads `experiments/grid.yaml`, `runs` trains in clones and keeps each result in git,
`comparison` puts them into a table; `commands` is the command line.
"""
