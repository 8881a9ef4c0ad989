"""What can go wrong in the demo."""


class DemoFailed(Exception):
    """The demo has shown that ferryman broke a promise, or could not go on; the text says which and where."""
