"""Quantizer: quantisation-aware training that keeps the pruned weights zero (PQAT, tfmot)."""
