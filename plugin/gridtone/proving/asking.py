"""An explanation: of a running service, or of a moment in a recording."""

import ssl
from collections.abc import Iterable

import msgspec
import urllib3

from gridtone.proving.timeline import collector_paused
from gridtone.rules import Evaluator, Rules
from gridtone.rules.explanation import Explanation, explain
from gridtone_adapters.recording import Moment

TIMEOUT_SECONDS = 10.0


def of_service(url: str, token: str | None, ca_file: str | None = None) -> Explanation:
    """Ask a service. Raises ValueError that says what to do where it does not answer with one."""
    context = ssl.create_default_context(cafile=ca_file)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        with urllib3.PoolManager(timeout=TIMEOUT_SECONDS, retries=False, ssl_context=context) as pool:
            answer = pool.request("GET", f"{url.rstrip('/')}/api/v1/explain", headers=headers, redirect=False)
    except (urllib3.exceptions.HTTPError, ValueError) as error:
        raise ValueError(f"no service answers on {url}: {error}; is `gridtone serve` running there?") from error
    if answer.status == 401:
        raise ValueError(f"{url} asks for a token: give --token-file, or --token-env")
    try:
        if answer.status == 200:
            return msgspec.json.decode(answer.data, type=Explanation)
    except msgspec.DecodeError as error:
        raise ValueError(f"{url} answers with something else than an explanation ({error}): is it the same version of gridtone?") from error
    raise ValueError(f"{url} answers {answer.status} instead of an explanation: is it gridtone, and the same version?")


def of_history(moments: Iterable[Moment], rules: Rules, at: float | None) -> Explanation:
    """Run the rules up to a time, or to the end. Raises ValueError where the history begins later or has no readings."""
    evaluator: Evaluator | None = None
    with collector_paused():
        for now, rows in moments:
            if at is not None and now > at:
                break
            evaluator = evaluator or Evaluator(rules, now)
            for _ in evaluator.until(now):
                pass
            evaluator.ingest(rows, now)
    if evaluator is None:
        raise ValueError("the recording has no readings before that time: is --at in UTC, is the file empty?")
    at = evaluator.now if at is None else at
    for _ in evaluator.until(at):
        pass
    return explain(evaluator, at)
