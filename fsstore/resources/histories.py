"""The histories of a session: for each panel the turns that were taken."""

from __future__ import annotations

from fsstore.records.nested import plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fsstore.codec import Object
    from fsstore.records.responses import ModelResponse
    from fsstore.records.session_runs import ConversationTurn
    from fsstore.resources.content_log import ContentView
    from fsstore.resources.session_files import SessionFiles


class Histories:
    """The histories of one session; they are no messages of its thread."""

    __slots__ = ("_files",)

    def __init__(self, files: SessionFiles) -> None:
        self._files = files

    def all(self) -> dict[str, list[ConversationTurn]]:
        """Give each panel's turns, oldest first; a panel whose last turn was cut is not there."""
        with self._files.content.reading() as view:
            return {panel: list(turns) for panel, turns in view.histories.items()}

    def append(self, panel_ids: Sequence[str], responses: Sequence[ModelResponse], user_prompt: str) -> dict[str, int]:
        """Add a prompt and its answer to each panel whose response holds text and no error.

        Args:
            panel_ids: The panels.
            responses: What was answered in each, in the same order; more of them are passed over.
            user_prompt: What was asked.

        Returns:
            How many turns each of the panels had before.

        On disk: One line at the end of session_content.jsonl, in one write; nothing where no panel gets anything.
        Crash: All panels have the turns, or none.
        Concurrency: Turns of several processes all stay, each prompt beside its answer.
        """
        pairs = zip(panel_ids, responses, strict=False)
        answers = [
            {"panel_id": panel, "text": response.text} for panel, response in pairs if response.text and not response.error
        ]
        lengths: dict[str, int] = {}

        def describe(view: ContentView) -> Object:
            lengths.update({panel: len(view.histories.get(panel, ())) for panel in panel_ids})
            return fields

        fields = self._files.content.checked({"type": "turns", "prompt": user_prompt, "answers": answers})
        if answers:
            self._files.append(describe)
        else:
            with self._files.content.reading() as view:
                describe(view)
        return lengths

    def set(self, histories: Mapping[str, Iterable[ConversationTurn]]) -> None:
        """Put other histories in the place of all.

        On disk: One line at the end of session_content.jsonl, in one write.
        Crash: The old histories or the new ones.
        Concurrency: The last one counts, whole.
        """
        said = {panel: plain(list(turns)) for panel, turns in histories.items()}
        fields = self._files.content.checked({"type": "histories", "histories": said})
        self._files.append(lambda _: fields)

    def truncate(self, lengths: Mapping[str, int]) -> None:
        """Cut histories to at most so many turns; a panel that is left without any goes.

        Raises:
            ValueError: A length that is no integer of 0 or more.

        On disk: As `set`.
        Crash: As `set`.
        Concurrency: Turns that another process adds later stay.
        """
        fields = self._files.content.checked({"type": "truncation", "lengths": dict(lengths)})
        self._files.append_if(lambda view: fields if shortens(view, lengths) else None)

    def clear(self) -> None:
        """Take all histories away; the runs stay.

        On disk: As `set`; nothing where there are none.
        Crash: As `set`.
        Concurrency: Turns that another process adds later stay.
        """
        fields: Object = {"type": "histories", "histories": {}}
        self._files.append_if(lambda view: fields if view.histories else None)


def shortens(view: ContentView, lengths: Mapping[str, int]) -> bool:
    """Say whether a truncation would change anything."""
    return any(len(view.histories.get(panel, ())) > length for panel, length in lengths.items())
