"""Routes of the Console API that act for a tenant: who am I, balances, deployments, bids and leases.

Bodies and answers: akash-network/console apps/api/swagger/openapi.json (@d84c9e93d790); what each call does: its
services `deployment-writer`, `deployment-reader`, `lease` and `bid`. As there, the list of deployments holds active
ones only.
"""

import json
from decimal import Decimal
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from necto_pipelines.failures import InvalidInput
from necto_pipelines.model.money import MICRO, to_micro
from necto_pipelines.networks.akash import sdl
from necto_pipelines.sandbox import akash_standing as standing
from necto_pipelines.sandbox.access import open_to_all, require_key, tenant_only
from necto_pipelines.sandbox.akash_public import query_number
from necto_pipelines.sandbox.answers import ApiError, ValidationError, answer, field, json_object
from necto_pipelines.sandbox.records import Port, ServiceShape
from necto_pipelines.sandbox.seeded import digest
from necto_pipelines.sandbox.world import World


class ManagedApi:
    """The tenant's calls on one world."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> list[Route]:
        """The routes, relative to the API's base."""
        return [
            Route("/v1/user/me", tenant_only(self._me)),
            Route("/v1/balances", open_to_all(self._balances)),
            Route("/v1/deployments", tenant_only(self._create), methods=["POST"]),
            Route("/v1/deployments", tenant_only(self._list)),
            Route("/v1/deployments/{dseq}", tenant_only(self._read)),
            Route("/v1/deployments/{dseq}", tenant_only(self._close), methods=["DELETE"]),
            Route("/v1/bids", tenant_only(self._bids)),
            Route("/v1/bids/{dseq}", tenant_only(self._bids)),
            Route("/v1/leases", tenant_only(self._lease), methods=["POST"]),
        ]

    async def _me(self, _: Request) -> Response:
        return answer({"data": _user(self._world)})

    async def _balances(self, request: Request) -> Response:
        self._world.now()
        chain, address = self._world.chain, request.query_params.get("address")
        if address is None:
            require_key(request)
        known = address in (None, self._world.owner)
        free = chain.state.wallet if known else 0
        held = sum(deployment.funds for deployment in chain.deployments()) if known else 0
        figures = {"balance": free / MICRO, "deployments": held / MICRO, "total": (free + held) / MICRO}
        return answer({"data": figures})

    async def _create(self, request: Request) -> Response:
        body = await json_object(request)
        text, deposit = field(body, ("data", "sdl"), str), field(body, ("data", "deposit"), Decimal)
        try:
            manifest, groups = sdl.manifest_of(text), sdl.groups_of(text)
        except InvalidInput as error:
            raise ApiError(400, f"Invalid SDL: {error}") from None
        self._world.now()
        hash_ = sdl.manifest_hash(manifest)
        deployment = self._world.chain.create(groups, _services(manifest), hash_, to_micro(deposit))
        self._world.save()
        transaction = digest(self._world.seed, deployment.dseq, "create").hex().upper()
        made = {
            "dseq": deployment.dseq,
            "manifest": sdl.manifest_text(manifest),
            "signTx": {"code": 0, "transactionHash": transaction, "rawLog": ""},
        }
        return answer({"data": made}, 201)

    async def _list(self, request: Request) -> Response:
        skip = query_number(request, "skip", low=0, default=0)
        limit = query_number(request, "limit", low=1, default=1000)
        self._world.now()
        active = [item for item in self._world.chain.deployments() if item.state == "active"]
        rows = [standing.listed(self._world, item) for item in active[skip : skip + limit]]
        pagination = {"total": len(active), "skip": skip, "limit": limit, "hasMore": len(active) > skip + limit}
        return answer({"data": {"deployments": rows, "pagination": pagination}})

    async def _read(self, request: Request) -> Response:
        dseq, now = _dseq(request.path_params["dseq"]), self._world.now()
        return answer({"data": standing.full(self._world, self._world.chain.find(dseq), now)})

    async def _close(self, request: Request) -> Response:
        dseq = _dseq(request.path_params["dseq"])
        self._world.now()
        self._world.chain.close(dseq)
        self._world.save()
        return answer({"data": {"success": True}})

    async def _bids(self, request: Request) -> Response:
        dseq = request.path_params.get("dseq") or request.query_params.get("dseq")
        if dseq is None:
            raise ValidationError([(["dseq"], "invalid_type", "Required")])
        self._world.now()
        return answer({"data": standing.bids(self._world, _dseq(dseq))})

    async def _lease(self, request: Request) -> Response:
        body = await json_object(request)
        text, wanted = field(body, ("manifest",), str), _wanted_leases(body)
        chain, now, dseq = self._world.chain, self._world.now(), wanted[0][0]
        # One lease stands for all: the service makes them in one transaction and skips it on a repeated call.
        if not chain.find(dseq).running():
            chain.lease(wanted)
        try:
            for lease_dseq, gseq, _, provider in wanted:
                chain.deliver_manifest(lease_dseq, gseq, provider, _hash_of(text))
        finally:
            # The lease stands even when its provider refuses the manifest.
            self._world.save()
        return answer({"data": standing.full(self._world, chain.find(dseq), now)})


def _dseq(text: str) -> str:
    if not text.isdecimal():
        raise ValidationError([(["dseq"], "invalid_string", "Invalid")])
    return text


def _wanted_leases(body: dict[str, Any]) -> list[tuple[str, int, int, str]]:
    """(dseq, gseq, oseq, provider) of each lease asked for."""
    rows = field(body, ("leases",), list)
    if not rows:
        raise ValidationError([(["leases"], "too_small", "Array must contain at least 1 element(s)")])
    wanted = []
    for number, row in enumerate(rows):
        named = {"leases": {str(number): row}}
        path = ("leases", str(number))
        dseq, provider = (field(named, (*path, name), str) for name in ("dseq", "provider"))
        gseq, oseq = (field(named, (*path, name), int) for name in ("gseq", "oseq"))
        wanted.append((_dseq(dseq), gseq, oseq, provider))
    return wanted


def _hash_of(manifest: str) -> str:
    try:
        return sdl.manifest_hash(json.loads(manifest))
    except ValueError:
        raise ApiError(422, "manifest is not valid JSON") from None


def _services(manifest: list[dict[str, Any]]) -> list[ServiceShape]:
    return [
        ServiceShape(
            group=number,
            name=service["name"],
            count=service["count"],
            ports=[
                Port(port=row["port"], external_port=row["externalPort"], proto=row["proto"])
                for row in service["expose"] or ()
                if row["global"]
            ],
        )
        for number, group in enumerate(manifest, start=1)
        for service in group["services"]
    ]


def _user(world: World) -> dict[str, Any]:
    return {
        "id": digest(world.seed, "user").hex()[:32],
        "userId": "sandbox|tenant",
        "username": "sandbox-tenant",
        "email": "tenant@sandbox.example",
        "emailVerified": True,
        "stripeCustomerId": None,
        "bio": None,
        "subscribedToNewsletter": False,
        "youtubeUsername": None,
        "twitterUsername": None,
        "githubUsername": None,
    }
