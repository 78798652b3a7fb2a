"""EarlyExit: an exit in the middle of a trained int8 network, for windows that are easy to tell."""
