"""The base class of every error that a user can fix."""


class HandPoseError(Exception):
    """Caused by a user, a file or a parameter; the message says what, where, and what to do.

    Modules raise subclasses named after their subject (`GestureMapError`, `DatasetError`, ...).
    The programs in `stages/` and `pipeline/` print the message without a traceback and exit with 2.
    """
