"""Room: which queued runs may begin, when only so many of a tenant or an agent may run at once."""

from collections import Counter
from collections.abc import Iterable, Sequence

from forebay.ports.store import Lease


class Room:
    """What is left of a lease's limits, beside the runs that are running already."""

    def __init__(self, lease: Lease, running: Iterable[tuple[str, str, int]]) -> None:
        self._lease = lease
        self._tenants: Counter[str] = Counter()
        self._agents: Counter[str] = Counter()
        for tenant, agent, runs in running:
            self._tenants[tenant] += runs
            self._agents[agent] += runs

    @property
    def agents(self) -> Sequence[str]:
        """The lease's agents of which more runs may begin."""
        most = self._lease.most_of_agent
        return [name for name in self._lease.agents if not most or self._agents[name] < most]

    @property
    def full_tenants(self) -> Sequence[str]:
        """Tenants of whom no more runs may begin."""
        most = self._lease.most_of_tenant
        return [name for name, runs in self._tenants.items() if most and runs >= most]

    def take(self, tenant: str, agent: str) -> bool:
        """Whether one more run of these may begin; if so, it is counted."""
        lease = self._lease
        if lease.most_of_tenant and self._tenants[tenant] >= lease.most_of_tenant:
            return False
        if lease.most_of_agent and self._agents[agent] >= lease.most_of_agent:
            return False
        self._tenants[tenant] += 1
        self._agents[agent] += 1
        return True
