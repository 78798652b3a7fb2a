"""Why nothing was learned; what ran before runs on."""


class AdaptationError(Exception):
    """Nothing was learned, or what was cannot be used; the message says why and what to do."""
