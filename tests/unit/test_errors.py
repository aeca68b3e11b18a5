from __future__ import annotations

import copy
import pickle

import pytest

import fsstore
from fsstore import errors

EXAMPLES = [
    (errors.ThreadNotFoundError("t"), LookupError, "thread t not found"),
    (errors.MessageNotFoundError("m"), LookupError, "message m not found"),
    (errors.SessionNotFoundError("s"), LookupError, "session s not found"),
    (errors.RunNotFoundError("r"), LookupError, "run r not found"),
    (errors.RunStepNotFoundError("s"), LookupError, "run step s not found"),
    (errors.CheckpointNotFoundError("c"), LookupError, "checkpoint c not found"),
    (errors.NotFoundError("j", "job"), LookupError, "job j not found"),
    (errors.AmbiguousPrefixError("s", "session", ["s1", "s2"]), LookupError, "2 sessions begin with 's': s1, s2"),
    (errors.AlreadyExistsError("thread", "t"), FileExistsError, "thread t already exists"),
    (errors.InvalidNameError("a" * 200, "too long"), ValueError, f"invalid id {'a' * 57 + '...'!r}: too long"),
    (errors.RunInTerminalStateError("r", "completed"), RuntimeError, "r is already in terminal state completed"),
    (errors.LockTimeoutError("/l", 2.5, "process 7 (x)"), TimeoutError, "lock /l not free within 2.5 s: held by process 7 (x)"),
    (errors.LockTimeoutError("/l", 0, None), TimeoutError, "held by an unknown process"),
    (errors.SyncFailedError("/p", ("a", "b"), "EIO", 5), OSError, "sync of /p failed: EIO (written, not confirmed: a, b)"),
    (errors.SyncFailedError("/p", (), "EIO"), OSError, "sync of /p failed: EIO"),
    (errors.CorruptError("/p", "bad"), ValueError, "corrupt: /p: bad"),
    (errors.FormatError("/p", "newer"), ValueError, "/p: newer"),
    (errors.ReadOnlyError("/p"), PermissionError, "/p was opened read-only"),
]


@pytest.mark.parametrize(("error", "builtin", "sentence"), EXAMPLES)
def test_an_error_is_the_stores_and_the_builtin_and_says_what_it_knows(
    error: errors.StoreError, builtin: type[Exception], sentence: str
) -> None:
    assert isinstance(error, errors.StoreError)
    assert isinstance(error, builtin)
    assert sentence in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize("error", [example[0] for example in EXAMPLES])
@pytest.mark.parametrize("carry", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
def test_an_error_survives_being_carried_with_all_its_fields(error: errors.StoreError, carry: object) -> None:
    again = carry(error)  # type: ignore[operator]
    assert type(again) is type(error)
    assert vars(again) == vars(error)
    assert str(again) == str(error)


def test_a_failed_sync_keeps_the_systems_error_number() -> None:
    error = errors.SyncFailedError("/p", ("id",), "EIO", 5)
    assert (error.errno, error.ids, error.path) == (5, ("id",), "/p")
    assert pickle.loads(pickle.dumps(error)).errno == 5


def test_not_found_errors_are_caught_by_their_family() -> None:
    kinds = [type(example[0]) for example in EXAMPLES[:4]]
    assert all(issubclass(kind, errors.NotFoundError) for kind in kinds)
    assert not issubclass(errors.ThreadNotFoundError, KeyError)  # whose str() would quote the sentence


def test_every_error_is_importable_from_the_package() -> None:
    defined = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, errors.StoreError)}
    assert defined <= set(fsstore.__all__)
    assert {type(example[0]).__name__ for example in EXAMPLES} | {"StoreError", "NotFoundError"} == defined
