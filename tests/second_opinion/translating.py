"""What must be said otherwise so that localstripe understands us, and we it. All of it stands here.

To it:
- `automatic_payment_methods` of a new PaymentIntent is left out: unknown there.
- A card that is named in confirming is set by an update before: "not implemented" there. `use_stripe_sdk` is left out.
- A search is answered from its list: it has no search.
From it:
- `amount_received` is summed up from the charges: it has none.
- A 402 is of type `card_error`: it types every error `invalid_request_error`.
"""

from dataclasses import dataclass
from typing import Any

import httpx

from tests.standins.wire import Call, Reply


@dataclass
class Translator:
    """Answers as the API at `client` does, in our terms."""

    client: httpx.AsyncClient

    async def answer(self, call: Call) -> Reply:
        match call.path.strip("/").split("/"):
            case [_, "payment_intents"] if call.method == "POST":
                return await self._ask(call, {n: v for n, v in call.params if "automatic_" not in n})
            case [_, "payment_intents", _, "confirm"] if call.params:
                chosen = Call("POST", call.path.removesuffix("/confirm"), (), call.headers)
                card = dict(call.params)["payment_method"]
                # An unknown card it would only miss when it confirms, with an answer that names nothing.
                found = await self._ask(Call("GET", f"/v1/payment_methods/{card}", (), call.headers), {})
                if found.status != 200:
                    return found
                await self._ask(chosen, {"payment_method": found.body["id"]})
                return await self._ask(call, {})
            case [_, "payment_intents", "search"]:
                return await self._ask(Call("GET", "/v1/payment_intents", (), call.headers), {"limit": "100"})
            case _:
                return await self._ask(call, dict(call.params))

    async def _ask(self, call: Call, params: dict[str, str]) -> Reply:
        sent = {"params": params} if call.method == "GET" else {"data": params}
        headers = {"Authorization": call.headers["authorization"]}
        answer = await self.client.request(call.method, call.path, headers=headers, **sent)
        body = answer.json()
        if answer.status_code == 402:
            body["error"]["type"] = "card_error"
        for thing in body.get("data", [body]):
            _sum_up(thing)
        return Reply(answer.status_code, body)


def _sum_up(thing: dict[str, Any]) -> None:
    if thing.get("object") == "payment_intent":
        charges = thing["charges"]["data"]
        thing["amount_received"] = sum(
            one["amount"] for one in charges if one["captured"] and one["status"] == "succeeded"
        )
