"""Chat models behind any HTTP endpoint that speaks as OpenAI's does: `openai:MODEL`."""

from __future__ import annotations

import json
import threading
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ...store.errors import BadKey, BadSource, ProviderDown, RequestRejected
from .messages import Reply, Request, Terms, estimated
from .retrying import Passing, seconds

if TYPE_CHECKING:
    import httpx2

ENDPOINT = "https://api.openai.com/v1"
"""Where requests go unless OPENAI_BASE_URL says otherwise."""
SLOW = 120.0
"""Seconds without a byte after which an attempt is given up."""
_LENGTH = "max_completion_tokens"
"""How newer models call the most tokens of a reply; found out from what they say to `max_tokens`."""
_AGAIN = frozenset({408, 409, 425, 429})
_NOT_ALLOWED = frozenset({401, 403})


class OpenAI:
    """A chat model that is asked by HTTP. Its key is in no message, no `repr`, and nothing that is kept."""

    terms = Terms(metered=True, billed=True, width=8)

    def __init__(self, name: str, environ: Mapping[str, str], *, slow: float = SLOW) -> None:
        """Take the endpoint and the key from the environment; nothing is sent.

        Args:
            name: The model's name, as the endpoint has it.
            environ: Holds OPENAI_API_KEY, and OPENAI_BASE_URL where the endpoint is not OpenAI's own.
            slow: Seconds without a byte after which an attempt is given up.

        Raises:
            BadSource: The name is empty, or OPENAI_BASE_URL is not the address of an endpoint.
        """
        if not name:
            raise BadSource("openai: names no model; openai:gpt-4o-mini does")
        self.name = name
        self._base = (environ.get("OPENAI_BASE_URL") or ENDPOINT).strip().rstrip("/")
        self._key = environ.get("OPENAI_API_KEY", "").strip()
        self._slow = slow
        self._length = "max_tokens"
        self._client: httpx2.Client | None = None
        self._lock = threading.Lock()
        try:
            parts = urlsplit(self._base)
            self._host = parts.hostname or ""
        except ValueError:
            self._host = ""
        if not self._host or parts.scheme not in ("http", "https"):
            raise BadSource(f"OPENAI_BASE_URL is no address of an endpoint such as {ENDPOINT}")

    def __repr__(self) -> str:
        return f"<OpenAI {self.name} at {self._host}>"

    def check(self) -> None:
        """Raise `BadKey` where no key is set, or one that cannot be sent."""
        if not self._key:
            raise BadKey(
                f"OPENAI_API_KEY is not set, and {self._host} is asked with it; a server that asks for none "
                "takes any word"
            )
        if not self._key.isascii() or not self._key.isprintable() or " " in self._key:
            raise BadKey("OPENAI_API_KEY has characters that no key has; set it anew, on one line")

    def facts(self) -> dict[str, Any]:
        """Give the endpoint's host and the model's name."""
        return {"kind": "openai", "host": self._host, "model": self.name}

    def tokens(self, request: Request) -> int:
        """Estimate the tokens of a request."""
        return estimated(request)

    def complete(self, request: Request) -> Reply:
        """Send a request once.

        Raises:
            Passing: The endpoint is busy, failing or not there, or answered with what is no reply. Once it
                was reached, it may have answered though nothing came, and what that took is not known.
            RequestRejected: It will not answer.
            BadKey: It does not accept the key.
        """
        import httpx2

        length = self._length
        try:
            response = self._connected().post(
                f"{self._base}/chat/completions", json=self._body(request, length)
            )
        except httpx2.HTTPError as error:
            unsent = isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout)
            what = f"{type(error).__name__}: {error}"
            if isinstance(error, httpx2.TimeoutException):
                what = f"no {'connection' if unsent else f'answer within {self._slow:g} s'}"
            raise Passing(self._hidden(what), tokens=(0, 0) if unsent else None) from error
        if response.status_code != 200:
            after = response.headers.get("retry-after")
            self._refuse(response.status_code, self._told(response), after, length)
        try:
            said = json.loads(response.content)
        except ValueError as error:
            raise Passing("an answer that is not JSON", tokens=None) from error
        return self._reply(said, response.headers.get("retry-after"), length)

    def _connected(self) -> httpx2.Client:
        """Give the one client, whose connections are closed when this object goes."""
        import httpx2

        with self._lock:
            if self._client is None:
                timeout = httpx2.Timeout(self._slow, connect=min(self._slow, 15.0))
                headers = {"authorization": f"Bearer {self._key}"}
                self._client = httpx2.Client(headers=headers, timeout=timeout)
                weakref.finalize(self, self._client.close)
            return self._client

    def _body(self, request: Request, length: str) -> dict[str, Any]:
        return {
            "model": self.name,
            "messages": [message.facts() for message in request.messages],
            "temperature": request.sampling.temperature,
            length: request.sampling.max_tokens,
            "seed": request.noise,
        }

    def _reply(self, said: Any, after: str | None, length: str) -> Reply:
        """Read an answer that came with status 200; one with an error or without words is none."""
        if not isinstance(said, dict):
            raise Passing("an answer that is no JSON object", tokens=None)
        taken = _usage(said)
        if error := said.get("error"):
            code = error.get("code") if isinstance(error, dict) else None
            self._refuse(code if isinstance(code, int) else 500, self._words(said), after, length)
        try:
            choice = said["choices"][0]
            message = choice["message"]
            text, ending = _text(message.get("content")), str(choice.get("finish_reason") or "stop")
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise Passing("an answer without a choice", tokens=_both(taken)) from error
        if not text.strip() and message.get("refusal"):
            text, ending = str(message["refusal"]), "refusal"
        if not text.strip() and ending not in ("length", "content_filter"):
            raise Passing(f"an empty reply (finish_reason {ending})", tokens=_both(taken))
        raw = {key: said[key] for key in ("model", "system_fingerprint") if isinstance(said.get(key), str)}
        return Reply(text, ending, *taken, raw)

    def _refuse(self, status: int, said: str, after: str | None, length: str) -> None:
        """Raise what an answer of this status means to a request that called a reply's length so."""
        if status in _NOT_ALLOWED:
            raise BadKey(f"{self._host} does not accept OPENAI_API_KEY for {self.name} ({status}: {said})")
        if "insufficient_quota" in said:
            raise ProviderDown(self.name, 1, f"{status}: {said}")
        if status == 400 and _LENGTH in said and length != _LENGTH:
            self._length = _LENGTH
            raise Passing(f"it takes {_LENGTH}", after=0.0)
        if status in _AGAIN or status >= 500:
            raise Passing(f"{status}: {said}", after=seconds(after))
        raise RequestRejected(f"{self.name} at {self._host}", status, said)

    def _told(self, response: httpx2.Response) -> str:
        """Give what an endpoint said with an error, shortened."""
        try:
            said = json.loads(response.content)
        except ValueError:
            return self._hidden(" ".join(response.content.decode(errors="replace").split())) or "not a word"
        return self._words(said)

    def _words(self, said: Any) -> str:
        error = said.get("error", said) if isinstance(said, dict) else said
        if not isinstance(error, dict):
            return self._hidden(str(error))
        told = [error[key] for key in ("code", "message") if isinstance(error.get(key), str)]
        return self._hidden(": ".join(told) or json.dumps(error))

    def _hidden(self, text: str) -> str:
        """Shorten a text, and hide the key in it, whole or in part as some endpoints repeat it."""
        parts = {self._key, self._key[:6], self._key[-4:]} if len(self._key) >= 12 else {self._key}
        words = ["…" if any(part and part in word for part in parts) else word for word in text.split()]
        line = " ".join(words)
        return line if len(line) <= 300 else f"{line[:299]}…"


def _text(content: Any) -> str:
    """Give the words of a message, whether it has them whole or in parts."""
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _usage(said: Mapping[str, Any]) -> tuple[int | None, int | None]:
    usage = said.get("usage")
    told = usage if isinstance(usage, dict) else {}
    found = [told.get(key) for key in ("prompt_tokens", "completion_tokens")]
    one, two = (each if isinstance(each, int) and each >= 0 else None for each in found)
    return one, two


def _both(taken: tuple[int | None, int | None]) -> tuple[int, int] | None:
    return None if taken[0] is None or taken[1] is None else (taken[0], taken[1])
