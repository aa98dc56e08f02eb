"""The catalogue of agents, and which of them answers when nobody is named."""

from collections.abc import Collection, Iterable, Sequence

from forebay.core.errors import AgentLoadError, AgentNotFound, NoDefaultAgent
from forebay.ports.agent import Agent

_FALLBACK = "echo"


class Agents:
    """The agents of this server: the user's own, and the built-in ones."""

    def __init__(
        self,
        own: Iterable[Agent],
        built_in: Iterable[Agent],
        default: str | None = None,
        *,
        code: str = "",
        elsewhere: Collection[str] = (),
    ) -> None:
        """`elsewhere` are the names of those that only other processes can execute."""
        self._elsewhere = frozenset(elsewhere)
        self.code = code
        """A digest of the files that the user's agents come from."""
        self._own = _by_name(own)
        self._all = {**_by_name(built_in), **self._own}
        self._default = default
        if default is not None and default not in self._all:
            raise AgentLoadError(f"The default agent {default!r} is not among: {self.names}.")

    @property
    def names(self) -> str:
        """Every name, for a message."""
        return ", ".join(sorted(self._all))

    def all(self) -> Sequence[Agent]:
        """Every agent, by name."""
        return [self._all[name] for name in sorted(self._all)]

    def here(self) -> Sequence[Agent]:
        """Those that this process can execute, by name."""
        return [agent for agent in self.all() if agent.name not in self._elsewhere]

    def is_elsewhere(self, name: str) -> bool:
        """Whether only other processes can execute it."""
        return name in self._elsewhere

    def get(self, name: str) -> Agent:
        """The agent of this name. Raises AgentNotFound."""
        agent = self._all.get(name)
        if agent is None:
            raise AgentNotFound(f"No agent is called {name[:100]!r}. There are: {self.names}.")
        return agent

    def default(self) -> Agent:
        """The agent that answers when nobody is named. Raises NoDefaultAgent."""
        if self._default is not None:
            return self._all[self._default]
        if not self._own:
            return self.get(_FALLBACK)
        if len(self._own) == 1:
            return next(iter(self._own.values()))
        raise NoDefaultAgent(f"Name one of the agents: {', '.join(sorted(self._own))}.")


def _by_name(agents: Iterable[Agent]) -> dict[str, Agent]:
    found: dict[str, Agent] = {}
    for agent in agents:
        if agent.name in found:
            raise AgentLoadError(f"Two agents are called {agent.name!r}.")
        found[agent.name] = agent
    return found
