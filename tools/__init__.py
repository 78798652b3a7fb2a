"""What developers run on this repository itself; no product code."""
