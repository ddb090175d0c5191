"""`handpose experiment`: variants of the pipeline with several seeds, run and compared.

`grid` reads `experiments/grid.yaml`, `runs` trains in clones and keeps each result in git,
`grid_results` compares them over seeds and people, `pages` writes them down; `commands` is the
command line.
"""
