"""The command line: `fsstore`. Its libraries come with the extra `cli`, so nothing of them is imported before `main` runs."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit; the entry point of the script `fsstore`."""
    try:
        from fsstore.cli.app import run
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("click", "rich"):
            raise
        sys.stderr.write("fsstore: the command line needs click and rich: pip install 'fsstore[cli]'\n")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(run(sys.argv[1:]))
