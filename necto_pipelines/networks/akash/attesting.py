"""Whom auditors vouch for, by the chain instead of by the Console's index of it. Pure: nothing is fetched here.

The chain is where auditors sign, so its word replaces the Console's, and wherever the two differ that is set down. An
auditor's signature counts for an attribute only while the provider still claims just that: this is how the chain
itself matches orders with bids, and how the Console reads it.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from necto_pipelines.failures import NectoError
from necto_pipelines.model.answer import Listing
from necto_pipelines.model.offer import ProviderEvidence
from necto_pipelines.networks.akash.chain import Register

WHAT = "signed attributes"
"""how the whole column is called where something was set aside about it"""


@dataclass
class _Vouched:
    """Auditors of one provider, and what each of them signed: (key, value, auditor)."""

    by: set[str] = field(default_factory=set)
    signatures: set[tuple[str, str, str]] = field(default_factory=set)


def attested(listed: Listing[ProviderEvidence], register: Register) -> Listing[ProviderEvidence]:
    """The Console's evidence with the chain's auditors and signed attributes.

    `raw` gains the chain's pages; each row still names the Console's answer, which its other columns were read from.
    Set aside are rows of the chain that could not be read, and every difference between the two.
    """
    registered = {provider.owner for provider in register.providers.rows}
    vouched = _vouched(register)
    rows, differences = [], []
    for row in listed.rows:
        own = vouched.get(row.provider, _Vouched())
        update = {"audited_by": tuple(sorted(own.by)), "audited_attributes": tuple(sorted(own.signatures))}
        rows.append(row.model_copy(update=update))
        if row.provider not in registered:
            differences.append((row.provider, "the Console lists it, the chain does not: nobody vouches for it"))
        elif difference := _difference(row, own):
            differences.append((row.provider, f"{difference}; the chain counts"))
    return Listing(
        tuple(rows),
        (*listed.raw, *register.providers.raw, *register.audits.raw),
        (*listed.quarantined, *register.providers.quarantined, *register.audits.quarantined, *differences),
    )


def unattested(listed: Listing[ProviderEvidence], error: NectoError) -> Listing[ProviderEvidence]:
    """The Console's evidence as it is, saying that the chain could not confirm it."""
    note = (WHAT, f"taken from the Console unconfirmed: {error}")
    return Listing(listed.rows, listed.raw, (*listed.quarantined, note))


def _vouched(register: Register) -> Mapping[str, _Vouched]:
    claims = {provider.owner: provider.attributes for provider in register.providers.rows}
    vouched: defaultdict[str, _Vouched] = defaultdict(_Vouched)
    for audit in register.audits.rows:
        if standing := audit.attributes & claims.get(audit.owner, frozenset()):
            vouched[audit.owner].by.add(audit.auditor)
            vouched[audit.owner].signatures |= {(key, value, audit.auditor) for key, value in standing}
    return vouched


def _difference(row: ProviderEvidence, own: _Vouched) -> str:
    """How the Console's view differs from the chain's; empty when it does not."""
    console = {f"{key}={value}" for key, value, _ in row.audited_attributes} | set(row.audited_by)
    chain = {f"{key}={value}" for key, value, _ in own.signatures} | own.by
    parts = (
        ("only at the Console", console - chain),
        ("only on the chain", chain - console),
    )
    return "; ".join(f"{where}: {_some(what)}" for where, what in parts if what)


def _some(what: Iterable[str], shown: int = 4) -> str:
    names = sorted(what)
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
