"""What every store promises: bind it by subclassing `StoreConformance` and giving it a `store`."""

from headrace.testkit.conformance.store.attending import Attending
from headrace.testkit.conformance.store.batches import KeepingBatches
from headrace.testkit.conformance.store.burying import Burying
from headrace.testkit.conformance.store.calling import Calling, Subscribing
from headrace.testkit.conformance.store.checkpoints import Checkpointing
from headrace.testkit.conformance.store.counting import Counting
from headrace.testkit.conformance.store.erasing import Erasing
from headrace.testkit.conformance.store.gangs import Ganging
from headrace.testkit.conformance.store.giving_up import GivingUp
from headrace.testkit.conformance.store.holding import Holding
from headrace.testkit.conformance.store.keeping_keys import KeepingKeys
from headrace.testkit.conformance.store.keeping_users import KeepingUsers
from headrace.testkit.conformance.store.models import JudgingModels, KeepingModels
from headrace.testkit.conformance.store.moving import Moving
from headrace.testkit.conformance.store.operating import Operating
from headrace.testkit.conformance.store.outbox import Outbox
from headrace.testkit.conformance.store.producing import Producing
from headrace.testkit.conformance.store.reading import Fleet, Hinting, Reading
from headrace.testkit.conformance.store.recurring import Recurring
from headrace.testkit.conformance.store.remembering import Remembering
from headrace.testkit.conformance.store.rolling import Rolling, Shadowing
from headrace.testkit.conformance.store.runs import KeepingRuns
from headrace.testkit.conformance.store.sharing import Sharing
from headrace.testkit.conformance.store.submitting import Submitting
from headrace.testkit.conformance.store.sweeping import Sweeping
from headrace.testkit.conformance.store.taking import Taking
from headrace.testkit.conformance.store.watching import Watching


class StoreConformance(
    Attending,
    Submitting,
    Moving,
    Checkpointing,
    Ganging,
    GivingUp,
    Holding,
    Sweeping,
    Watching,
    Operating,
    Counting,
    Outbox,
    Sharing,
    Producing,
    Reading,
    Fleet,
    Hinting,
    Burying,
    Erasing,
    Recurring,
    KeepingRuns,
    KeepingBatches,
    Remembering,
    KeepingKeys,
    KeepingUsers,
    KeepingModels,
    JudgingModels,
    Rolling,
    Shadowing,
    Taking,
    Calling,
    Subscribing,
):
    """All of it."""
