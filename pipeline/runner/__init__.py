"""What starts a stage: a child process of DVC's command, whose output it forwards.

May import `handpose.errors`; `pipeline.live` imports from here, never the other way.
"""
