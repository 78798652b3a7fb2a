"""Quantizer: training with int8 rounding that keeps the pruned weights zero, or with fewer values still."""
