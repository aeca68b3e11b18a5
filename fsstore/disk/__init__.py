"""How it survives: system calls, locks, and the three kinds of file."""
