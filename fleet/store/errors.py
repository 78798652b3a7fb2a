"""What can be wrong with the server's database, or with what is looked for in it."""


class StoreError(Exception):
    """The database cannot be used; the message names it, the reason, and the next step."""


class NotFoundError(StoreError):
    """There is no such thing in this tenant."""


class ConflictError(StoreError):
    """What was asked does not go with what is there already."""
