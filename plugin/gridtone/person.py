"""Who does something, and what they may."""

from dataclasses import dataclass
from typing import Literal, get_args

Role = Literal["listener", "editor", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
"""Each may do what those before it may."""


@dataclass(frozen=True, slots=True)
class Person:
    name: str
    """Of the token; `local` on a loopback that has no tokens."""
    role: Role
    token_id: str = ""

    def may(self, role: Role) -> bool:
        return ROLES.index(self.role) >= ROLES.index(role)
