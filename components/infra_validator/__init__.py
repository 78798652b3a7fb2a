"""InfraValidator: the converted model is loaded and run by every runtime it will meet."""
