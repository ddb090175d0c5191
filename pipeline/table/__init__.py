"""README's table: the pipeline is trained with several seeds, and the results are put together.

`table` runs it all, each seed in a training clone; `seed_results` merges their results;
`results_page` writes them as Markdown, and finds out whether README still says what the file does.
"""
