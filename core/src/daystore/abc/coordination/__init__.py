"""The coordinated commit: transactions over stores of which single writes alone are atomic, one or several.

The protocol is that of client-coordinated transactions. A transaction has one *status record*, which is pending,
committed or aborted. It puts its changes as *intents* beside the records (`prepare`), looks whether what it read
still holds (`validate`), and commits by one conditional write of its status record. Then everybody who meets one
of its intents may apply it; normally the transaction itself does, before it tells its caller.

A. Dey, A. Fekete, R. Nambiar and U. Röhm, "Scalable transactions across heterogeneous NoSQL key-value data
stores", PVLDB 6(12), 2013; H. Yamada and J. Nemoto, "Scalar DL" and ScalarDB's consensus commit. Other than
theirs, a status record begins as pending: that it is missing therefore means that the transaction has aborted,
and no decision depends on a clock. And a key that a transaction found absent is prepared as well, which holds it
absent until the end.
"""

from daystore.abc.coordination.commit import Commit, Part
from daystore.abc.coordination.coordinator import Coordinator
from daystore.abc.coordination.intent import Intent
from daystore.abc.coordination.participant import Participant
from daystore.abc.coordination.status import STATUS_COLLECTION, Status, StatusLog
from daystore.abc.coordination.tickets import Ticket

__all__ = [
    "STATUS_COLLECTION",
    "Commit",
    "Coordinator",
    "Intent",
    "Part",
    "Participant",
    "Status",
    "StatusLog",
    "Ticket",
]
