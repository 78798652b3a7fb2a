"""Classifying pictures: one decision a picture, by a bundle's model."""
