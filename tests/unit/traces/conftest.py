import socket
from collections.abc import AsyncIterator

import pytest

from tests.helpers.http2_server import Made
from tests.helpers.otlp import Taken
from vllmd.http.connections import ConnectionCounts
from vllmd.traces.grpc import GrpcReceiver, GrpcServer
from vllmd.traces.unpack import ROOM_BYTES


@pytest.fixture
async def made() -> AsyncIterator[Made]:
    taken, counts = Taken("sql"), ConnectionCounts()
    listening = socket.create_server(("127.0.0.1", 0))
    receiver = GrpcServer(GrpcReceiver(taken.intake), bound=16, counts=counts)
    await receiver.start(listening)
    yield Made(taken, counts, receiver, listening.getsockname())
    await receiver.close()
    taken.intake.room.take(ROOM_BYTES)  # all of it was given back
