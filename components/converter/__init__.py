"""Converter: a trained model becomes a full-integer .tflite file."""
