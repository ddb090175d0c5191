"""The stages: one program each, files in, files out (`python -m stages.<name>`).

Imports `handpose`, never `pipeline`; a stage never imports another. What a stage needs beside its
program is in a sub-package; what all of them need is in `params`, `paths`, `running`,
`hand_model` and `code_digest`.
"""

from handpose.stop_signal import program, quit_on_ctrl_c

if (_name := program()).startswith("stages."):
    quit_on_ctrl_c(f"{_name.removeprefix('stages.')}: stopped by Ctrl-C; run again to resume")
