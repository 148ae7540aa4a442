"""One change: everything that may be done to the books in a transaction."""

from necto_pipelines.books.anchor_changes import AnchorChanges
from necto_pipelines.books.money_changes import MoneyChanges
from necto_pipelines.books.order_changes import OrderChanges
from necto_pipelines.books.privacy_changes import PrivacyChanges
from necto_pipelines.books.seal_changes import SealChanges
from necto_pipelines.books.watch_changes import WatchChanges


class Change(AnchorChanges, OrderChanges, MoneyChanges, WatchChanges, SealChanges, PrivacyChanges):
    """A transaction under way. Each method writes its rows and the audit leaf that names them.

    All of it is stored when the `with books.change(actor)` block ends, or none of it when the block raises. Other
    changes wait meanwhile: nothing slow, and no call to the outside, belongs into the block.
    """
