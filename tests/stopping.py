"""Stop signals for tests."""


class StopAtLook:
    """A stop signal that is set when it is looked at for the n-th time."""

    def __init__(self, look):
        self.look, self.looks = look, 0

    def is_set(self):
        self.looks += 1
        return self.looks >= self.look
