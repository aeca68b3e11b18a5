"""`python -m fsstore.cli`, the same as the script `fsstore`."""

from __future__ import annotations

from fsstore.cli import main

main()
