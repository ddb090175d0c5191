"""What runs the stages: command line, stage runner, Prefect flow, plan, comparison, remotes.

Imports `handpose` and the helpers of `stages`; it never imports a stage, but runs it through DVC.
"""
