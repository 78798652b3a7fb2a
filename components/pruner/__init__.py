"""Pruner: takes away the weights, channels or attention heads that matter least, and retrains the rest."""
