class LibraryError(Exception):
    """The library cannot do what it was asked: the message says why, and what to do."""
