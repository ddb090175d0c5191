"""How a stage runs: as a child process of DVC's command, with its output forwarded.

May import `handpose.errors`; `pipeline.live` imports from here, never the other way.
"""
