"""What the pages ask of a lineage store: each question bounded, its answer plain values."""
