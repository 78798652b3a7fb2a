"""What can be wrong with a plan, or with what is asked of a rollout."""


class RolloutError(Exception):
    """The rollout cannot do what was asked; the message says why, and the next step."""


class PlanError(RolloutError):
    """The plan breaks a rule; the message names the field."""


class ActionClosedError(RolloutError):
    """The action has ended: what the device reports of it counts no more."""


class ActionUnknownError(RolloutError):
    """The device was never shown the action, so it cannot report of it."""
