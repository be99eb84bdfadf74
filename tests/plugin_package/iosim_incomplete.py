"""A module that is announced as an I/O model and lacks its program."""

from iosim.choice import Options as BaseOptions


class Options(BaseOptions):
    """Nothing to choose."""
