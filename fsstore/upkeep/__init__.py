"""What keeps a store in order: check, repair, what frees space, secrets, and import."""
