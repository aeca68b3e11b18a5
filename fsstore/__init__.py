"""fsstore: the state of AI agents, kept as plain files.

    from fsstore import Store

    store = Store.open("~/.agents")
    thread = store.threads.create(name="Fix the parser")
    thread.messages.append("user", "Why is the sky blue?")

Names are imported when they are first used, so that `import fsstore` costs next to nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fsstore.codec import ABSENT as ABSENT
    from fsstore.codec import Damage as Damage
    from fsstore.errors import AlreadyExistsError as AlreadyExistsError
    from fsstore.errors import AmbiguousPrefixError as AmbiguousPrefixError
    from fsstore.errors import CheckpointNotFoundError as CheckpointNotFoundError
    from fsstore.errors import CorruptError as CorruptError
    from fsstore.errors import FormatError as FormatError
    from fsstore.errors import InvalidNameError as InvalidNameError
    from fsstore.errors import LockTimeoutError as LockTimeoutError
    from fsstore.errors import MessageNotFoundError as MessageNotFoundError
    from fsstore.errors import NotFoundError as NotFoundError
    from fsstore.errors import ReadOnlyError as ReadOnlyError
    from fsstore.errors import RunInTerminalStateError as RunInTerminalStateError
    from fsstore.errors import RunNotFoundError as RunNotFoundError
    from fsstore.errors import RunStepNotFoundError as RunStepNotFoundError
    from fsstore.errors import SessionNotFoundError as SessionNotFoundError
    from fsstore.errors import StoreError as StoreError
    from fsstore.errors import SyncFailedError as SyncFailedError
    from fsstore.errors import ThreadNotFoundError as ThreadNotFoundError
    from fsstore.records.checkpoints import CheckpointRecord as CheckpointRecord
    from fsstore.records.enums import EventType as EventType
    from fsstore.records.enums import JobStateStatus as JobStateStatus
    from fsstore.records.enums import MessageRole as MessageRole
    from fsstore.records.enums import RunRating as RunRating
    from fsstore.records.enums import RunStatus as RunStatus
    from fsstore.records.enums import RunStepStatus as RunStepStatus
    from fsstore.records.enums import RunStepType as RunStepType
    from fsstore.records.enums import RunType as RunType
    from fsstore.records.enums import SessionSource as SessionSource
    from fsstore.records.enums import StopReason as StopReason
    from fsstore.records.enums import ThreadGoalStatus as ThreadGoalStatus
    from fsstore.records.enums import ThreadStatus as ThreadStatus
    from fsstore.records.goals import ThreadGoalRecord as ThreadGoalRecord
    from fsstore.records.jobs import JobStateRecord as JobStateRecord
    from fsstore.records.message_views import MessageRecord as MessageRecord
    from fsstore.records.message_views import ThreadMessage as ThreadMessage
    from fsstore.records.messages import Message as Message
    from fsstore.records.recipes import ModelProfile as ModelProfile
    from fsstore.records.recipes import OutputRule as OutputRule
    from fsstore.records.recipes import RecipeConstraints as RecipeConstraints
    from fsstore.records.recipes import RecipeContext as RecipeContext
    from fsstore.records.recipes import RecipeModelParams as RecipeModelParams
    from fsstore.records.recipes import RecipeSnapshot as RecipeSnapshot
    from fsstore.records.recipes import SystemReminder as SystemReminder
    from fsstore.records.responses import Checkpoint as Checkpoint
    from fsstore.records.responses import EventEntry as EventEntry
    from fsstore.records.responses import FileWrite as FileWrite
    from fsstore.records.responses import ModelResponse as ModelResponse
    from fsstore.records.responses import ResponseSnapshot as ResponseSnapshot
    from fsstore.records.responses import WriteEntry as WriteEntry
    from fsstore.records.rewind import FileSnapshot as FileSnapshot
    from fsstore.records.rewind import RewindEntry as RewindEntry
    from fsstore.records.rewind import RewindResult as RewindResult
    from fsstore.records.runs import Run as Run
    from fsstore.records.runs import RunError as RunError
    from fsstore.records.runs import RunInfo as RunInfo
    from fsstore.records.runs import RunStep as RunStep
    from fsstore.records.runs import StepInfo as StepInfo
    from fsstore.records.session_runs import ConversationTurn as ConversationTurn
    from fsstore.records.session_runs import DataSessionMetadata as DataSessionMetadata
    from fsstore.records.session_runs import ModelRunContent as ModelRunContent
    from fsstore.records.session_runs import RunContent as RunContent
    from fsstore.records.session_runs import RunSummary as RunSummary
    from fsstore.records.session_runs import SelectionParams as SelectionParams
    from fsstore.records.session_runs import SessionContent as SessionContent
    from fsstore.records.sessions import ChatMessage as ChatMessage
    from fsstore.records.sessions import SessionMetadata as SessionMetadata
    from fsstore.records.sessions import SessionQuery as SessionQuery
    from fsstore.records.sessions import SessionState as SessionState
    from fsstore.records.statistics import Statistics as Statistics
    from fsstore.records.statistics import Tally as Tally
    from fsstore.records.threads import Thread as Thread
    from fsstore.records.threads import ThreadInfo as ThreadInfo
    from fsstore.records.threads import ThreadListFilters as ThreadListFilters
    from fsstore.records.threads import ThreadMetadata as ThreadMetadata
    from fsstore.records.tools import DynamicToolRecord as DynamicToolRecord
    from fsstore.records.workflows import BranchRun as BranchRun
    from fsstore.records.workflows import ControlNodeRun as ControlNodeRun
    from fsstore.records.workflows import LeafRun as LeafRun
    from fsstore.records.workflows import TeacherCandidate as TeacherCandidate
    from fsstore.records.workflows import WorkflowRun as WorkflowRun
    from fsstore.resources.compaction import Compacted as Compacted
    from fsstore.resources.data_session import DataSession as DataSession
    from fsstore.resources.data_sessions import new_session_id as new_session_id
    from fsstore.resources.restoring import snapshot_files as snapshot_files
    from fsstore.resources.run_checkpoint import CheckpointSaver as CheckpointSaver
    from fsstore.resources.runs import RunHandle as RunHandle
    from fsstore.resources.thread import ThreadHandle as ThreadHandle
    from fsstore.resources.trashed import Trashed as Trashed
    from fsstore.resources.workflows import WorkflowHandle as WorkflowHandle
    from fsstore.store import Store as Store
    from fsstore.stores.backend import SessionBackend as SessionBackend
    from fsstore.stores.data import DataStore as DataStore
    from fsstore.stores.data import DataStoreOptions as DataStoreOptions
    from fsstore.stores.session import SessionStore as SessionStore
    from fsstore.stores.state import StateStore as StateStore
    from fsstore.stores.thread import ThreadStore as ThreadStore
    from fsstore.upkeep.gc import Freed as Freed
    from fsstore.upkeep.problems import Problem as Problem
    from fsstore.upkeep.secrets import Secret as Secret
    from fsstore.upkeep.sizes import Size as Size

__version__ = "0.1.0"

_HOMES = {
    "codec": "ABSENT Damage",
    "errors": (
        "AlreadyExistsError AmbiguousPrefixError CheckpointNotFoundError CorruptError FormatError InvalidNameError"
        " LockTimeoutError MessageNotFoundError NotFoundError ReadOnlyError RunInTerminalStateError RunNotFoundError"
        " RunStepNotFoundError SessionNotFoundError StoreError SyncFailedError ThreadNotFoundError"
    ),
    "records.checkpoints": "CheckpointRecord",
    "records.enums": (
        "EventType JobStateStatus MessageRole RunRating RunStatus RunStepStatus RunStepType RunType SessionSource"
        " StopReason ThreadGoalStatus ThreadStatus"
    ),
    "records.goals": "ThreadGoalRecord",
    "records.jobs": "JobStateRecord",
    "records.message_views": "MessageRecord ThreadMessage",
    "records.messages": "Message",
    "records.recipes": (
        "ModelProfile OutputRule RecipeConstraints RecipeContext RecipeModelParams RecipeSnapshot SystemReminder"
    ),
    "records.responses": "Checkpoint EventEntry FileWrite ModelResponse ResponseSnapshot WriteEntry",
    "records.rewind": "FileSnapshot RewindEntry RewindResult",
    "records.runs": "Run RunError RunInfo RunStep StepInfo",
    "records.session_runs": (
        "ConversationTurn DataSessionMetadata ModelRunContent RunContent RunSummary SelectionParams SessionContent"
    ),
    "records.sessions": "ChatMessage SessionMetadata SessionQuery SessionState",
    "records.statistics": "Statistics Tally",
    "records.threads": "Thread ThreadInfo ThreadListFilters ThreadMetadata",
    "records.tools": "DynamicToolRecord",
    "records.workflows": "BranchRun ControlNodeRun LeafRun TeacherCandidate WorkflowRun",
    "resources.compaction": "Compacted",
    "resources.data_session": "DataSession",
    "resources.data_sessions": "new_session_id",
    "resources.restoring": "snapshot_files",
    "resources.run_checkpoint": "CheckpointSaver",
    "resources.runs": "RunHandle",
    "resources.thread": "ThreadHandle",
    "resources.trashed": "Trashed",
    "resources.workflows": "WorkflowHandle",
    "store": "Store",
    "stores.backend": "SessionBackend",
    "stores.data": "DataStore DataStoreOptions",
    "stores.session": "SessionStore",
    "stores.state": "StateStore",
    "stores.thread": "ThreadStore",
    "upkeep.gc": "Freed",
    "upkeep.problems": "Problem",
    "upkeep.secrets": "Secret",
    "upkeep.sizes": "Size",
}
_HOME = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = sorted(_HOME)  # noqa: PLE0605  # one list of the public names, above


def __getattr__(name: str) -> object:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
