"""What is done to a fleet, by the rules of `fleet.rollout`, in a transaction that is given."""
