"""What runs the stages: command line, stage runner, Prefect flow, plan, comparison, remotes.

Imports `handpose` and the helpers of `stages`; it never imports a stage, but runs it through DVC.
"""

from handpose.stop_signal import program, quit_on_ctrl_c

if (_name := program()) in ("handpose", "pipeline", "pipeline.stage"):
    quit_on_ctrl_c(f"{'stage' if _name == 'pipeline.stage' else 'handpose'}: stopped by Ctrl-C")
