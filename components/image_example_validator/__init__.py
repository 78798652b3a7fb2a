"""ImageExampleValidator: whether the pictures are what they should be."""
