"""A flow of a FlowRay service as a LangChain runnable; needs the extra `langchain`.

bot = FlowRayRunnable("my-flow", url="http://127.0.0.1:8000", key="fr-...")
bot.invoke("Hello")
for piece in bot.stream("Hello"): ...
(prompt | bot | parser).invoke({...}, config={"configurable": {"session_id": "ada"}})
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, cast

from langchain_core.messages import BaseMessage
from langchain_core.prompt_values import PromptValue
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import ensure_config

from flowray.client.blocking import Client
from flowray.client.calls import RunOptions
from flowray.client.errors import error_in
from flowray.client.nonblocking import AsyncClient
from flowray.engine.outcome import Answer
from flowray.errors import InvalidRequestError

__all__ = ["FlowRayRunnable"]


class FlowRayRunnable(Runnable[Any, str]):
    """Takes a text, a message, messages, a prompt, or a mapping with `input`; gives the flow's text.

    Of several messages the last one is the input: what was said before is the flow's own chat memory, by session. The
    session is the config's `session_id`, or else the one given here. `options` are those of `Client.run`.
    """

    def __init__(self, flow: str, *, url: str, key: str = "", session: str | None = None, **options: Any) -> None:
        self.name = f"flowray:{flow}"
        self._flow = flow
        self._url, self._key = url, key
        self._session = session
        self._options = options

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> str:  # noqa: A002 - LangChain's
        """The flow's answer; a failed run raises its error."""
        return self._call_with_config(_plain(self._run), input, config, **kwargs)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> str:  # noqa: A002
        """The same, without blocking."""
        return await self._acall_with_config(_plain(self._arun), input, config, **kwargs)

    def stream(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Iterator[str]:  # noqa: A002
        """The answer piece by piece, as the flow says it."""
        yield from self._transform_stream_with_config(iter([input]), _plain(self._pieces), config, **kwargs)

    async def astream(
        self,
        input: Any,  # noqa: A002 - LangChain's
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[str]:
        """The same, without blocking."""

        async def given() -> AsyncIterator[Any]:
            yield input

        async for piece in self._atransform_stream_with_config(given(), _plain(self._apieces), config, **kwargs):
            yield piece

    def _run(self, given: Any, config: RunnableConfig) -> str:
        with Client(self._url, self._key) as client:
            return client.run(self._flow, **self._asked(given, config)).text or ""

    async def _arun(self, given: Any, config: RunnableConfig) -> str:
        async with AsyncClient(self._url, self._key) as client:
            return (await client.run(self._flow, **self._asked(given, config))).text or ""

    def _pieces(self, given: Iterator[Any], config: RunnableConfig) -> Iterator[str]:
        heard = _Heard()
        with Client(self._url, self._key) as client:
            for frame in client.stream(self._flow, **self._asked(_last(list(given)), config)):
                if text := heard.add(frame):
                    yield text

    async def _apieces(self, given: AsyncIterator[Any], config: RunnableConfig) -> AsyncIterator[str]:
        heard = _Heard()
        asked = self._asked(_last([one async for one in given]), config)
        async with AsyncClient(self._url, self._key) as client:
            async for frame in client.stream(self._flow, **asked):
                if text := heard.add(frame):
                    yield text

    def _asked(self, given: Any, config: RunnableConfig) -> RunOptions:
        configured = ensure_config(config).get("configurable") or {}
        session = configured.get("session_id") or self._session
        options = {**self._options, "input_value": _text(given), **({"session": str(session)} if session else {})}
        return cast("RunOptions", options)


def _plain(function: Any) -> Any:
    """LangChain finds out by its parameters what a function takes; its types only know those that take a manager."""
    return function


class _Heard:
    """A stream's frames as text; a flow that does not stream says all of it at its end."""

    def __init__(self) -> None:
        self._any = False

    def add(self, frame: Mapping[str, Any]) -> str:
        data = frame.get("data") or {}
        match frame.get("event"):
            case "token":
                self._any = True
                return str(data.get("chunk") or "")
            case "error":
                raise error_in(data, otherwise=str(data.get("error")))
            case "end" if not self._any:
                blocks = data["result"]["outputs"]
                results = [result for block in blocks for result in block["outputs"] if result is not None]
                return Answer(run="", session="", results=results).text or ""
            case _:
                return ""


def _last(given: list[Any]) -> Any:
    """The whole input of a chain that hands it over in pieces."""
    if given and all(isinstance(one, str) for one in given):
        return "".join(given)
    return given[-1] if given else ""


def _text(given: Any) -> str:
    match given:
        case str():
            return given
        case BaseMessage():
            return str(given.text)
        case PromptValue():
            return _text(given.to_messages())
        case [*messages] if messages:
            return _text(messages[-1])
        case {"input": inner}:
            return _text(inner)
        case _:
            kind = type(given).__name__
            raise InvalidRequestError(
                f"A flow takes a text, messages, a prompt, or a mapping with `input`; this is {kind}."
            )
