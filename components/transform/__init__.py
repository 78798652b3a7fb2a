"""Transform: from clips to the feature codes that models see, with fixed augmentations."""
