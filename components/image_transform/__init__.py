"""ImageTransform: from pictures to the device's codes, with fixed augmentations."""
