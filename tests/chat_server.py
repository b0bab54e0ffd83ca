"""A server of chat completions on this machine, which answers as a test tells it and counts its calls."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import monotonic
from typing import Any

KEY = "sk-proj-0123456789abcdefWXYZ"


@dataclass(frozen=True, slots=True)
class Said:
    """One answer of the server."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    slow: bool = False
    """Whether it comes only when the server is closed."""
    cut: bool = False
    """Whether the connection is closed in its place."""


def words(
    text: str | None, finish: str = "stop", *, usage: tuple[int, int] | None = (100, 7), **message: Any
) -> Said:
    """A reply in words."""
    told: dict[str, Any] = {
        "model": "small-2026",
        "choices": [{"message": {"role": "assistant", "content": text, **message}, "finish_reason": finish}],
    }
    if usage:
        told["usage"] = dict(zip(("prompt_tokens", "completion_tokens"), usage, strict=True))
    return Said(body=json.dumps(told).encode())


def error(status: int, message: str, *, seen: int | None = None, **headers: str) -> Said:
    """An answer that tells of an error; `seen` is the status under which it comes."""
    told = {"error": {"message": message, "code": status}}
    return Said(
        seen or status, json.dumps(told).encode(), {k.replace("_", "-"): v for k, v in headers.items()}
    )


Script = Callable[[dict[str, Any], int], Said]
"""From what is asked, and the number of the call from 0, to what is answered."""


class ChatServer:
    """What the server was asked, and where it is."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.asked: list[dict[str, Any]] = []
        self.keys: set[str] = set()
        self.most = 0
        """The most requests that were under way at once."""
        self.now = 0
        self.lock, self.closing = threading.Lock(), threading.Event()
        self.started = monotonic()
        self.url = ""

    @property
    def calls(self) -> int:
        return len(self.asked)

    @property
    def environ(self) -> dict[str, str]:
        return {"OPENAI_BASE_URL": self.url, "OPENAI_API_KEY": KEY}

    def answer(self, body: dict[str, Any], key: str) -> Said:
        with self.lock:
            number = len(self.asked)
            self.asked.append(body)
            self.keys.add(key)
            self.now += 1
            self.most = max(self.most, self.now)
        try:
            said = self.script(body, number)
        finally:
            with self.lock:
                self.now -= 1
        if said.slow:
            self.closing.wait()
        return said


def _handler(server: ChatServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            assert self.path == "/v1/chat/completions"
            said = server.answer(body, self.headers["authorization"])
            if said.cut:
                self.close_connection = True
                return
            try:
                self.send_response(said.status)
                for name, value in {**said.headers, "content-length": str(len(said.body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(said.body)
            except OSError:
                self.close_connection = True  # who asked did not wait

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002, its parent's name
            pass

    return Handler


@contextmanager
def serving(script: Script) -> Iterator[ChatServer]:
    """Serve until the block ends."""
    told = ChatServer(script)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(told))
    server.daemon_threads = True
    server.block_on_close = False
    told.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield told
    finally:
        told.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()
