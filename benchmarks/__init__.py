"""What fsstore costs, against the floor and against SQLite, measured in the same run: `python -m benchmarks`."""
