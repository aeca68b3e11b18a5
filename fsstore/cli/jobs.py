"""`fsstore jobs`: work of the whole store."""

from __future__ import annotations

import click

from fsstore.cli.options import limit_option, open_store, refuse_beside, store_options, whole_id
from fsstore.cli.output import (
    brief,
    clean,
    emit,
    make_console,
    note_unreadable,
    print_fields,
    print_head,
    print_table,
    when,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fsstore.codec import Json
    from fsstore.records.jobs import JobStateRecord
    from fsstore.store import Store


@click.command(short_help="List the jobs, or show one.")
@click.argument("job", required=False)
@limit_option("jobs")
@store_options
def jobs(job: str | None, limit: int | None, root: str, as_json: bool) -> None:
    """List the jobs, the last updated first; with JOB, show that one."""
    if job is not None:
        refuse_beside("JOB", {"--limit": limit})
    with open_store(root) as store:
        if job is None:
            _print_list(store, limit, as_json)
        else:
            id = whole_id(job, "job", "jobs", store.jobs.get, lambda: (known.id for known in store.jobs))
            _print_job(store.jobs[id], as_json)


def _print_list(store: Store, limit: int | None, as_json: bool) -> None:
    found = store.jobs.recent(limit)
    console = make_console()
    if as_json:
        for job in found:
            emit(job.to_json())
    elif found:
        columns = {"STATUS": "10", "PROGRESS": ">8", "UPDATED": "16", "NAME": ""}
        rows = ((brief(job.status, 20), _progress(job.progress), when(job.updated_at), brief(job.name)) for job in found)
        print_table(console, "JOB", [job.id for job in found], columns, rows)
    else:
        console.print(f"No jobs in {clean(store.root)}.")
    note_unreadable(store.jobs.damage(), "job")


def _print_job(job: JobStateRecord, as_json: bool) -> None:
    if as_json:
        emit(job.to_json())
        return
    console = make_console()
    print_head(console, job.id, job.name, job.detail)
    print_fields(
        console,
        {
            "status": brief(job.status, 40),
            "progress": _progress(job.progress),
            "created": when(job.created_at),
            "updated": when(job.updated_at),
        },
    )


def _progress(progress: Json) -> str:
    return "-" if progress is None else f"{brief(progress, 10)}%"
