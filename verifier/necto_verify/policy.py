"""Whom the auditor believes: which keys may sign checkpoints of which sizes, and which authorities prove time.

The auditor's own policy or key comes first. What an export says about itself is believed only where nothing was given,
and the verdict then says so: an operator can put any key into an export.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from necto_verify.faults import Fault, InputUnusable, Kind
from necto_verify.layout import Export, Unreadable
from necto_verify.notes import Key, NoteRefused

MAX_POLICY_BYTES: Final = 4 * 1024 * 1024
MAX_VKEY_BYTES: Final = 4096
OWN: Final = "the export itself"
GIVEN: Final = "the auditor"

_PRIME: Final = 2**255 - 19
_ORDER_EIGHT: Final = int.from_bytes(
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"
)
_LOW_ORDER: Final = frozenset({0, 1, _PRIME - 1, _ORDER_EIGHT, _PRIME - _ORDER_EIGHT})
"""y coordinates of the eight points whose order divides 8; anybody can sign under such a key"""


@dataclass(frozen=True)
class TrustedKey:
    """A key that may sign checkpoints of the sizes `start <= size < until`; no `until` means it still may."""

    key: Key
    start: int = 0
    until: int | None = None

    def may_sign(self, size: int) -> bool:
        """Whether a checkpoint of this size may rest on this key."""
        return self.start <= size and (self.until is None or size < self.until)


@dataclass(frozen=True)
class Policy:
    """Whom to believe. `keys_from` and `authorities_from` say who named them; `required` must sign the newest one."""

    origin: str
    keys: tuple[TrustedKey, ...]
    authorities: dict[str, bytes] = field(default_factory=dict)
    keys_from: str = OWN
    authorities_from: str = OWN
    required: Key | None = None

    @property
    def points(self) -> list[Key]:
        """The keys, whatever sizes they may sign."""
        return [trusted.key for trusted in self.keys]


def parse_policy(data: bytes, source: str) -> Policy:
    """Read a policy file; raises NoteRefused naming the field.

    `{"origin": str, "keys": [{"vkey": str, "from": int, "until": int or null}], "time_authorities": [{"name": str,
    "certificates": PEM of the roots to believe}]}`; the last one may be left out.
    """
    try:
        policy = json.loads(data.decode())
    except (ValueError, RecursionError):
        raise NoteRefused("policy: it is not JSON") from None
    if not isinstance(policy, dict):
        raise NoteRefused("policy: it is not a JSON object")
    origin = _text(policy, "policy", "origin")
    keys = tuple(_key(item, f"policy: keys[{place}]") for place, item in enumerate(_list(policy, "keys")))
    if not keys:
        raise NoteRefused("policy: keys: at least one is needed")
    if len({(trusted.key.name, trusted.key.key_id) for trusted in keys}) < len(keys):
        raise NoteRefused("policy: keys: the same key stands twice")
    authorities = {}
    for place, item in enumerate(_list(policy, "time_authorities")):
        name = f"policy: time_authorities[{place}]"
        authorities[_text(item, name, "name")] = _text(item, name, "certificates").encode(errors="replace")
    return Policy(origin, keys, authorities, source, source)


def parse_given_key(text: str) -> Key:
    """The auditor's key; raises InputUnusable for one that must not be relied on."""
    try:
        key = Key.parse(text)
    except NoteRefused as refused:
        raise InputUnusable(f"vkey: {refused}") from refused
    if fault := key_fault(key):
        raise InputUnusable(f"vkey: {fault}")
    return key


def policy_for(export: Export, given_key: Key | None, given_policy: Policy | None) -> tuple[Policy, list[Fault]]:
    """Whom to believe about this export, and what is wrong with what it says about itself.

    1. A policy that was given decides alone; a key given beside it must stand in it (else InputUnusable).
    2. Otherwise the export's own `policy.json` says which keys signed which sizes. A key given must stand there as one
       that still signs, and must have signed the newest checkpoint.
    3. Without `policy.json` there is one key: the one given, or the export's `vkey` (InputUnusable without either).
    """
    if given_policy:
        if given_key and given_key not in given_policy.points:
            raise InputUnusable("vkey: it does not stand in the policy that was given beside it")
        return replace(given_policy, required=given_key), []
    faults: list[Fault] = []
    own = _own_policy(export, faults)
    own_key = _own_key(export, faults)
    if own is None:
        key = given_key or own_key
        if key is None:
            raise InputUnusable("vkey: the export holds no usable key and none was given; give --vkey or --policy")
        own = Policy(key.name, (TrustedKey(key),), keys_from=GIVEN if given_key else OWN)
    for key in {key.vkey: key for key in (given_key, own_key) if key}.values():
        faults += check_key_listed(own, key)
    return replace(own, required=given_key), faults


def check_keys(policy: Policy) -> list[Fault]:
    """No key is of low order or spelled otherwise than it should be, and the hash beside each is its own."""
    return [
        Fault(Kind.KEY, None, f"key {trusted.key.name}: {fault}")
        for trusted in policy.keys
        if (fault := key_fault(trusted.key))
    ]


def check_key_listed(policy: Policy, key: Key) -> list[Fault]:
    """A key named as the log's is one that the policy lets sign still."""
    for trusted in policy.keys:
        if trusted.key.vkey == key.vkey:
            if trusted.until is None:
                return []
            what = f"the key {key.vkey} signs no checkpoint from size {trusted.until} on, says the policy"
            return [Fault(Kind.KEY, None, f"{what}; have the new key from a source you trust")]
    return [Fault(Kind.KEY, None, f"the key {key.vkey} is not among the keys that are believed")]


def key_fault(key: Key) -> str | None:
    """Why a key must not be relied on; None when it may."""
    y = int.from_bytes(key.point, "little") & (2**255 - 1)
    if y >= _PRIME:
        return "its point is not in its one spelling (RFC 8032 section 5.1.3)"
    if y in _LOW_ORDER:
        return "its point is of low order: anybody can sign under it"
    if key.written_id != key.key_id.hex():
        return f"the hash beside it is {key.written_id[:16]!r}; its own is {key.key_id.hex()}"
    return None


def _own_policy(export: Export, faults: list[Fault]) -> Policy | None:
    if not export.has("policy.json"):
        return None
    try:
        return parse_policy(export.read("policy.json", MAX_POLICY_BYTES), OWN)
    except (Unreadable, NoteRefused) as refused:
        faults.append(Fault(Kind.KEY, None, f"policy.json: {refused}"))
        return None


def _own_key(export: Export, faults: list[Fault]) -> Key | None:
    if not export.has("vkey"):
        return None
    try:
        return Key.parse(export.read("vkey", MAX_VKEY_BYTES).decode(errors="replace"))
    except (Unreadable, NoteRefused) as refused:
        faults.append(Fault(Kind.KEY, None, f"vkey: {refused}"))
        return None


def _key(item: object, name: str) -> TrustedKey:
    start, until = (item.get("from", 0), item.get("until")) if isinstance(item, dict) else (0, None)
    if not _is_size(start) or not (until is None or _is_size(until)):
        raise NoteRefused(f"{name}: from is a size, until a size or null")
    return TrustedKey(Key.parse(_text(item, name, "vkey")), start, until)


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _list(policy: dict[str, Any], name: str) -> Sequence[object]:
    value = policy.get(name, [])
    if not isinstance(value, list):
        raise NoteRefused(f"policy: {name} is not a list")
    return value


def _text(item: object, where: str, name: str) -> str:
    value = item.get(name) if isinstance(item, dict) else None
    if not isinstance(value, str) or not value:
        raise NoteRefused(f"{where}: {name} is not a text")
    return value
