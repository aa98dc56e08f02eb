"""What every Storage has to do: the conformance suite, for ours and for those of plugins.

    class TestMyStorage(StorageContract):
        @pytest.fixture
        async def database(self) -> AsyncIterator[Database]:
            ...

The tests are coroutines: run them with pytest-asyncio in its auto mode, each with a time limit.
"""

from .admitting import AdmittingContract
from .appending import AppendingContract
from .database import Database
from .following import FollowingContract
from .forgetting import ForgettingContract
from .leasing import LeasingContract
from .queueing import QueueingContract
from .reading import ReadingContract
from .sharing import SharingContract
from .turns import TurnsContract
from .waiting import WaitingContract

__all__ = ["Database", "StorageContract"]


class StorageContract(
    AdmittingContract,
    AppendingContract,
    ReadingContract,
    LeasingContract,
    QueueingContract,
    TurnsContract,
    SharingContract,
    WaitingContract,
    ForgettingContract,
    FollowingContract,
):
    """Everything that ports/store.py, ports/log.py and ports/storage.py promise."""
