"""Where the figures were taken."""

from __future__ import annotations

import os
import platform
import sqlite3
from importlib.metadata import version


def describe(path: str) -> dict[str, str]:
    """Give what the figures depend on, for files at a path."""
    return {
        "machine": f"{os.cpu_count()} x {_processor()}",
        "kernel": platform.platform(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "libraries": f"SQLite {sqlite3.sqlite_version}, orjson {version('orjson')}, filelock {version('filelock')}",
        "file system": _file_system(path),
        "load before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            return next(row.split(":", 1)[1].strip() for row in file if row.startswith("model name"))
    except (FileNotFoundError, StopIteration):
        return platform.machine()


def _file_system(path: str) -> str:
    try:
        with open("/proc/mounts") as file:
            mounts = [row.split()[1:3] for row in file]
    except FileNotFoundError:
        return "unknown"
    real = os.path.realpath(path)
    return max((point, kind) for point, kind in mounts if f"{real}/".startswith(f"{point.rstrip('/')}/"))[1]
