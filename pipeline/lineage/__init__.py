"""The lineage store, in ML Metadata's vocabulary: artifact, execution, event, context."""
