"""The one exception for what a user can mend: every program prints its text and exits 2."""


class HandPoseError(Exception):
    """A user, a file or a parameter caused this; the text says what, where and what to do.

    Modules raise subclasses named after their noun (`GestureTableError`, `DatasetError`, ...).
    The programs in `stages/` and `pipeline/` print the text without a traceback and exit with 2.
    """
