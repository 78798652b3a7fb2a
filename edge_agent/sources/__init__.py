"""Sources of samples: each gives blocks of float32 samples and their rate."""
