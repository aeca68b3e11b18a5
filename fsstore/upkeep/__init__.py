"""What keeps a store in order: check and import."""
