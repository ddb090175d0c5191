"""The stages: one program each, files in, files out (`python -m stages.<name>`).

Imports `handpose`, never `pipeline`; a stage never imports another. What a stage needs beside its
program is in a sub-package; what all of them need is in `params`, `paths`, `artifacts` and
`code_digest`.
"""
