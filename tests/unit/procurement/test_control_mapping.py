"""Controls and the events that show them."""

import re

from necto_pipelines.audit.event_types import EVENT_TYPES
from necto_pipelines.procurement.control_mapping import CONTROLS, EXAMPLES, operated, unmapped

KNOWN = {kind.name for kind in EVENT_TYPES}


def test_every_event_type_that_is_mapped_exists() -> None:
    assert {kind for control in CONTROLS for kind in control.types} - KNOWN == set()


def test_ids_look_as_the_frameworks_write_them() -> None:
    for control in CONTROLS:
        assert all(re.fullmatch(r"(CC|A|PI|C|P)[0-9]\.[0-9]", each) for each in control.soc2)
        assert all(re.fullmatch(r"A\.[5-8]\.[0-9]{1,2}", each) for each in control.iso27001)
        assert all(re.match(r"[0-9]{1,2}", each) for each in control.gdpr)


def test_a_control_lists_its_events_with_the_first_entries() -> None:
    found = operated({"budget.set": [3, 9, 12, 40], "order.moved": [4], "order.claimed": [5]})
    (budgets,) = [each for each in found if each.counts]
    assert budgets.counts == {"budget.set": 4, "order.moved": 1}
    assert budgets.examples == {"budget.set": (3, 9, 12)[:EXAMPLES], "order.moved": (4,)}
    assert len(found) == len(CONTROLS)
    assert unmapped(["budget.set", "order.claimed"]) == ["order.claimed"]
