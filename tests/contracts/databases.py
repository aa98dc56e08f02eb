"""Databases for tests, each of its own, with the storages that were opened on it."""

from collections.abc import Sequence

from forebay.ports.store import Write
from forebay.storage.postgres.connection import Connections
from forebay.storage.postgres.storage import PostgresStorage
from forebay.storage.postgres.writing import write_batch

from .cluster import PostgresCluster


class PostgresDatabase:
    """A database of a cluster."""

    def __init__(self, cluster: PostgresCluster, *, migrated: bool = True) -> None:
        self.cluster = cluster
        self._migrated = migrated
        self.name = cluster.create_database(migrated=migrated)
        self.url = cluster.url(self.name)
        self._opened: list[PostgresStorage] = []

    async def open(self) -> PostgresStorage:
        storage = self.storage()
        await storage.open()
        return storage

    def storage(
        self,
        url: str | None = None,
        *,
        direct_url: str | None = None,
        prepare: bool = True,
        auto_migrate: bool = False,
    ) -> PostgresStorage:
        """A storage that is not open yet, and is closed with the rest."""
        storage = PostgresStorage(
            url or self.url, direct_url=direct_url, prepare=prepare, auto_migrate=auto_migrate
        )
        self._opened.append(storage)
        return storage

    async def pass_time(self, seconds: float) -> None:
        # The server's clock cannot be moved; the leases can.
        with self.cluster.connect(self.name) as connection:
            connection.execute(
                "UPDATE forebay.run SET lease_until = lease_until - %s * interval '1 second'",
                [seconds],
            )

    async def write_silently(self, batch: Sequence[Write]) -> None:
        connections = Connections(self.url, 1, prepare=False)
        async with connections.one() as connection:
            await write_batch(connection, batch)
        await connections.aclose()

    async def aclose(self) -> None:
        """Close everything, and clean up."""
        for storage in self._opened:
            await storage.aclose()
        if self._migrated:
            self.cluster.empty_database(self.name)
        else:
            self.cluster.drop_database(self.name)
