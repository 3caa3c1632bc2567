from __future__ import annotations

import asyncio
import datetime as dt
from typing import Self

from keyferry.kube.client import ObjectKey
from keyferry.kube.record import Note, Recorder
from keyferry.kubehttp import KubeError
from tests.support.memorykube import MemoryKube
from tests.support.virtual import elapsed, virtual

KEY = ObjectKey("ExternalSecret", "team", "app")
NOTE = Note("Warning", "UpdateFailed", "it failed", lasting=True)


def now() -> dt.datetime:
    return dt.datetime(2030, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=elapsed())


class Recording:
    def __init__(self) -> None:
        self.server = MemoryKube()
        self.recorder = Recorder(self.server.kube, now=now, instance="me")

    async def __aenter__(self) -> Self:
        self.task = asyncio.create_task(self.recorder.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert not self.task.done()
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def note(self, note: Note = NOTE, *, uid: str = "u", key: ObjectKey = KEY) -> int:
        """How many Events there are after this note."""
        self.recorder.note(key, {"uid": uid, "resourceVersion": str(self.server.version)}, note)
        await self.recorder.flush()
        return len(self.server.objects)


@virtual
async def test_one_event_per_meaning_and_hour() -> None:
    async with Recording() as recording:
        assert [await recording.note() for _ in range(3)] == [1, 1, 1]
        assert await recording.note(Note("Warning", "UpdateFailed", "otherwise")) == 2
        assert await recording.note(uid="recreated") == 3
        await asyncio.sleep(46 * 60)
        assert await recording.note() == 4


@virtual
async def test_what_happens_again_is_told_again() -> None:
    async with Recording() as recording:
        updated = Note("Normal", "Updated", "secret updated")
        assert [await recording.note(updated) for _ in range(3)] == [1, 2, 3]


@virtual
async def test_a_failure_that_comes_back_after_all_was_well_is_told_again() -> None:
    async with Recording() as recording:
        other = Note("Normal", "MissingProviderSecret", "it is not there", lasting=True)
        assert [await recording.note(), await recording.note(other)] == [1, 2]
        recording.recorder.settled(KEY, [other])
        assert [await recording.note(other), await recording.note()] == [2, 3]


@virtual
async def test_an_event_says_what_about_whom_and_from_where() -> None:
    async with Recording() as recording:
        await recording.note()
        (event,) = recording.server.objects.values()
        assert (event["type"], event["reason"], event["message"]) == ("Warning", "UpdateFailed", "it failed")
        assert event["source"] == {"component": "external-secrets"}
        assert (event["reportingInstance"], event["firstTimestamp"]) == ("me", "2030-01-01T00:00:00Z")
        assert event["involvedObject"]["uid"] == "u"


@virtual
async def test_cluster_wide_objects_have_their_events_in_the_default_namespace() -> None:
    async with Recording() as recording:
        await recording.note(key=ObjectKey("ClusterSecretStore", "", "store"))
        (path,) = recording.server.objects
        assert "/namespaces/default/events/" in path


@virtual
async def test_a_message_is_shortened_to_what_the_api_server_takes() -> None:
    async with Recording() as recording:
        await recording.note(Note("Normal", "Long", "x" * 5000))
        (event,) = recording.server.objects.values()
        assert len(event["message"]) == 1024


@virtual
async def test_nothing_that_goes_wrong_ends_it() -> None:
    async with Recording() as recording:
        for number, trouble in enumerate(
            (KubeError(503, "ServiceUnavailable", "no"), KubeError(403, "Forbidden", "no"), TypeError("a defect"))
        ):

            def before(method: str, path: str, trouble: Exception = trouble) -> None:
                raise trouble

            recording.server.before = before
            assert await recording.note(uid=f"u{number}") == 0
        recording.server.before = lambda _method, _path: None
        assert await recording.note(uid="after") == 1


@virtual
async def test_a_note_that_found_no_room_may_be_told_again() -> None:
    recording = Recording()
    for number in range(1001):
        recording.recorder.note(KEY, {"uid": f"u{number}"}, NOTE)
    async with recording:
        await recording.recorder.flush()
        assert len(recording.server.objects) == 1000
        assert await recording.note(uid="u1000") == 1001
