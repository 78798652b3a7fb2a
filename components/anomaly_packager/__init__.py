"""AnomalyPackager: what was learned, as a bundle that has proven itself and its cost."""
