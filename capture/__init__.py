"""Source log and snapshot -> topics. Knows nothing of the target."""
