"""What can be done with it: one noun a module."""
