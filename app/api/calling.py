"""How handlers are called that need nothing but the body, parts of the path and what our own dependencies make.

Litestar goes a general way to a handler: what it takes is read through several layers, made in tasks of their own and
checked once more. For those of ours it is read and made here, one after the other; whatever is out of the ordinary
about a call is left to Litestar.
"""

from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, Final, cast

import msgspec
from litestar import Litestar, Response
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from app.api.request import ShopRequest

Provider = Callable[..., Any]

# What Litestar asks a handler for before each call.
_RESOLVED: Final = "resolve_before_request"


class _InTurn:
    """Litestar's model of what a handler is called with; what it is given is made here, one after the other.

    Litestar reads the values for each through a Struct, which costs more than making it does.
    """

    def __init__(self, model: Any) -> None:
        self.has_kwargs = model.has_kwargs
        self.to_kwargs = model.to_kwargs
        self.dependency_batches = model.dependency_batches
        self.turns = [
            (one.key, one.provide.dependency, tuple(one.provide.signature_model._fields))
            for batch in model.dependency_batches
            for one in batch
        ]

    async def resolve_dependencies(
        self, _connection: Any, kwargs: dict[str, Any]
    ) -> AbstractAsyncContextManager[None]:
        await self.make(kwargs)
        return nullcontext()  # nothing of ours has to be cleaned up

    async def make(self, kwargs: dict[str, Any]) -> None:
        """Make what the handler is given, beside what `kwargs` has already."""
        for key, provide, names in self.turns:
            kwargs[key] = await provide(**{name: kwargs[name] for name in names})


class AtOnce:
    """Calls a handler, as its `before_request`: Litestar takes what that answers for the handler's own answer.

    None leaves the call to Litestar: where no body came, or a query that the handler may want to read.
    """

    def __init__(self, handler: HTTPRouteHandler, model: Any, in_turn: _InTurn) -> None:
        self._before = handler.resolve_before_request()
        self._call = handler.fn
        self._in_turn = in_turn
        self.reads_query = bool(model.expected_query_params)
        in_query = {one.field_name for one in model.expected_query_params}
        self._names = [name for name in handler.signature_model._fields if name not in in_query]
        data = handler.parsed_fn_signature.parameters.get("data")
        self._body: Any = None if data is None else data.annotation
        self.reads_body = data is not None

    async def __call__(self, request: ShopRequest) -> Any:
        if self._before is not None and (answer := await self._before(request)) is not None:
            return answer
        scope = request.scope
        if self.reads_query and scope["query_string"]:
            return None
        kwargs: dict[str, Any] = {"request": request, **scope["path_params"]}
        if self.reads_body:
            if not await request.body():
                return None
            kwargs["data"] = await request.read(self._body)
        await self._in_turn.make(kwargs)
        return await self._call(**{name: kwargs[name] for name in self._names})


def call_at_once(app: Litestar, plain: Collection[Provider]) -> None:
    """Let what handlers are given be made one after the other, in the order in which it is needed.

    Litestar makes what does not need each other at once, in tasks: they cost more than making it does. `plain` are
    the dependencies that need nothing of a call but what was made before them, which wants no validation.
    """
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            handlers: dict[Any, Any] = route.route_handler_map
            for method, (handler, model) in handlers.items():
                model.dependency_batches = [{one} for batch in model.dependency_batches for one in batch]
                if all(one.provide.dependency in plain for (one,) in model.dependency_batches):
                    in_turn = _InTurn(model)
                    handlers[method] = (handler, in_turn)
                    if len(handler.http_methods) == 1 and _is_ordinary(handler, model):
                        at_once = AtOnce(handler, model, in_turn)
                        handler.__dict__[_RESOLVED] = lambda found=at_once: found


def at_once_of(handler: Any) -> AtOnce | None:
    """What calls a handler at once; None where Litestar does."""
    resolved = getattr(handler, "__dict__", {}).get(_RESOLVED)
    return None if resolved is None else cast("AtOnce", resolved())


def _is_ordinary(handler: HTTPRouteHandler, model: Any) -> bool:
    """Whether all that a handler takes can be had without Litestar, and it always answers something."""
    parameters = handler.parsed_fn_signature.parameters
    elsewhere = (
        model.expected_cookie_params,
        model.expected_header_params,
        model.expected_form_data,
        model.expected_msgpack_data,
        model.expected_data_dto,
    )
    return (
        not handler.has_sync_callable
        and handler.parsed_fn_signature.return_type.is_subclass_of((Response, msgspec.Struct))
        and not any(elsewhere)
        and model.expected_reserved_kwargs <= {"request", "data"}
        and not any(one.is_required for one in model.expected_query_params)
        and all(_is_any_text(parameters.get(one.field_name)) for one in model.expected_path_params)
    )


def _is_any_text(parameter: Any) -> bool:
    """Whether a part of the path needs no checking."""
    if parameter is None or parameter.annotation is not str:
        return False
    return parameter.kwarg_definition is None or not parameter.kwarg_definition.is_constrained
