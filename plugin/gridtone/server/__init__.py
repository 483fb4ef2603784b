"""HTTP: the player's page, the API, server-sent events, audio.

    app = create_app(backend, settings)
    serve(app, settings, on_ready=lambda url: print(f"listening on {url}"))

`create_app` builds a Flask application over any `Backend` (see `backend.py`); `serve` runs it behind cheroot, in this process, until it is told to stop.

* `settings.py`  where to listen, and who may
* `access.py`    who may do what: roles, host names, origins, how often
* `tokens.py`    tokens, kept as hashes
* `signing.py`   sessions and links
* `throttle.py`  how often
* `headers.py`   security headers
* `answers.py`   how answers and errors look as JSON
* `api.py`       the routes
* `rules_api.py` the routes of the rules page
* `session_api.py` and `room_api.py`  those of signing in, and of the control room
* `stream.py`    server-sent events
* `openapi.py`   the API described for machines
* `serving.py`   the web server around it
* `static/`      the player: plain ES modules, nothing to build
"""

from gridtone.server.app import create_app
from gridtone.server.backend import Backend
from gridtone.server.serving import serve
from gridtone.server.settings import ServerSettings

__all__ = ["Backend", "ServerSettings", "create_app", "serve"]
