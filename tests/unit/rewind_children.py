"""What the tests of rewinding run in other processes."""

from __future__ import annotations

import resource
import signal
from pathlib import Path

from fsstore import RewindResult, Store


def rewinds_with_little_room(root: Path, session: str, work: Path, limit: int) -> RewindResult:
    """Rewind where no file may be longer than so many bytes (setrlimit(2), RLIMIT_FSIZE): as on a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    return Store.open(root).data.session(session, cwd=work).rewinds.rewind()
