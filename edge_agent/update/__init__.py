"""Updates: a release comes through TUF into the free slot and becomes current once it is proven."""
