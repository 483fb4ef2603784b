"""What the service itself writes into the audit log: under which settings it runs, and which rules it follows."""

import hashlib
import json
from pathlib import Path
from typing import Any

from sqlalchemy.engine import make_url

from gridtone.config import Site
from gridtone.library.audit import Audit
from gridtone.rules import Rules

FINGERPRINT_DIGITS = 16
LONGEST_PROBLEM = 500


def record_start(audit: Audit, site: Site) -> None:
    """The service starts: a fingerprint of each group of settings and of the rules, and which of them are not those of the last start."""
    now = fingerprints(site)
    last = audit.last("service_started")
    before = json.loads(last.detail)["settings"] if last else now
    changed = sorted(group for group in now.keys() | before.keys() if now.get(group) != before.get(group))
    audit.record(None, "service_started", str(site.data), {"settings": now, "changed": changed})


def record_rules(audit: Audit, file: Path | None, rules: Rules | None, problem: str) -> None:
    """The rules were saved: they were taken over, or refused."""
    if rules:
        audit.record(None, "rules_taken_over", str(file), {"fingerprint": _fingerprint(_plain(rules))})
    else:
        audit.record(None, "rules_refused", str(file), {"problem": problem[:LONGEST_PROBLEM]})


def fingerprints(site: Site) -> dict[str, str]:
    """Of each group of settings. They tell that something changed, not what it is; a password in the database's URL does not enter."""
    settings = _plain(site) | {"rules": _plain(site.load_rules())}
    if site.library.database:
        settings["library"]["database"] = make_url(site.library.database).render_as_string(hide_password=True)
    return {group: _fingerprint(value) for group, value in settings.items()}


def _plain(settings: Site | Rules) -> dict[str, Any]:
    return settings.model_dump(mode="json", warnings=False)  # a condition is written as a text and kept as a tree


def _fingerprint(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:FINGERPRINT_DIGITS]
