"""What steps may ask for, put together: at a Runner, what its stores can answer; beside an engine, the rest."""

from __future__ import annotations

import asyncio
from typing import Any

from flowray.lasting import lasting
from flowray.runner.asking import Desk
from flowray.runner.chat_desk import ChatDesk
from flowray.runner.flow_desk import FlowDesk
from flowray.runner.tape_desk import TapeDesk
from flowray.stores.chat_archiver import ChatArchiver
from flowray.stores.chat_segments import ChatSegments
from flowray.stores.chats import Chats
from flowray.stores.documents import Documents
from flowray.stores.generations import RedisGenerations
from flowray.stores.objects import ObjectStore
from flowray.stores.redis_chats import RedisChats
from flowray.stores.sealing import SecretSeal
from flowray.stores.tapes import Tapes
from flowray_serve.child_runs import ChildRuns
from flowray_serve.own_files import OwnFiles


def runner_desk(client: Any, objects: ObjectStore, *, secret: bytes) -> Desk:
    """The desk of a Runner."""
    chat = ChatDesk(chats_in(client, objects))
    tape = TapeDesk(Tapes(objects, SecretSeal(secret)))
    flows = FlowDesk(Documents(objects, RedisGenerations(client)))
    clerks = {"messages.find": chat.find, "tape.find": tape.find, "flows.list": flows.list, "flows.find": flows.find}
    return Desk(clerks, {"messages": chat.note, "tape": tape.note})


def engine_desk(children: ChildRuns, own_files: OwnFiles) -> Desk:
    """The desk of a process that drives runs: what takes more than the stores."""
    return Desk({"files.keep": own_files.written}, otherwise=children)


def chats_in(client: Any, objects: ObjectStore) -> Chats:
    """The chats that are kept in these stores."""
    return RedisChats(client, ChatSegments(objects))


def saving_chats(client: Any, objects: ObjectStore) -> asyncio.Task[None]:
    """The work of carrying chats into the object store; cancel it to end it."""
    return lasting(ChatArchiver(client, ChatSegments(objects)).work, name="save chats")
