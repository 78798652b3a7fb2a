"""What serves a fleet: the signed update repository, and later the server and its rollouts."""
