"""What a site opens to the network and hardly means to: servers beyond loopback without TLS, or without a token."""

from collections.abc import Iterator
from pathlib import Path

from gridtone.config import Site
from gridtone.documents import Wrong
from gridtone.server.settings import is_loopback
from gridtone.server.tokens import TokenFile
from gridtone_adapters import WebhookConfig


def network_doubts(site: Site, folder: Path) -> Iterator[Wrong]:
    """Places are those of the site's file, which lies in `folder`."""
    server = site.server
    if not server.on_loopback:
        place = ("server", "host")
        if server.tls_certificate is None:
            message = f"`{server.host}` is on the network and speaks plain HTTP: tokens and the state of the grid can be read along"
            yield Wrong(message, "set `tls_certificate` and `tls_key`, or listen on 127.0.0.1 behind a proxy with TLS", place)
        if server.token_file is None and server.token_env is None and not TokenFile(folder / site.data).read():
            message = f"`{server.host}` is on the network and there is no token, so the service will refuse to start"
            yield Wrong(message, "make one with `gridtone token create NAME --role listener`, or set `token_file` or `token_env`", place)
    for number, adapter in enumerate(site.adapters):
        if isinstance(adapter, WebhookConfig) and adapter.tls is None and not is_loopback(adapter.host):
            message = f"the webhook `{adapter.name}` listens on `{adapter.host}` without TLS: whoever reads its token along can send alarms, and clear them"
            yield Wrong(message, "add `tls: {cert_file: ..., key_file: ...}`", ("adapters", number, "host"))
