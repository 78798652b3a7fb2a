"""ImagePackager: puts the model, its contract and its proofs into one deterministic bundle."""
