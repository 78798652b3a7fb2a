"""Keyword spotting: from feature codes to probabilities, and from those to detections."""
