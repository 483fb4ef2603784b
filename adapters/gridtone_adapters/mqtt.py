"""MQTT: subscribes to a broker and yields what arrives. It subscribes, and that is all it can do."""

import hashlib
import logging
import random
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from gridtone_adapters.adapter import Health
from gridtone_adapters.conventions import Unreadable
from gridtone_adapters.intake import Intake
from gridtone_adapters.payloads import MqttTopic, PointReader, TopicReader
from gridtone_adapters.reading import Reading
from gridtone_adapters.security import Secret, SetupError, Tls, explain, plain
from gridtone_adapters.topics import parse_topic

SILENT_SECONDS = 30.0
"""Connected for so long without one message: health says so."""
BURST = 2_000
"""Messages read from the socket, while there are some, before the reader is told: waking it more often costs a tenth of the throughput."""
TOPICS_REMEMBERED = 1_000_000
POLL_SECONDS = 0.5

ADVICE = {
    "Bad user name or password": "check `username` and `password`",
    "Not authorized": "check `username` and `password`, and whether the broker lets this user in",
    "Unsupported protocol version": "set `protocol` to the version that the broker speaks",
    "Client identifier not valid": "set `client_id` to one that the broker accepts",
    "Session taken over": "another client uses the same `client_id`: give each its own",
}

log = logging.getLogger(__name__)


class MqttConfig(BaseModel):
    """An MQTT broker."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    kind: Literal["mqtt"] = Field("mqtt", description="`mqtt`.")
    name: str = Field("mqtt", min_length=1, description="What this source is called on the page, in the log and in the metrics.")
    host: str = Field(min_length=1, description="Host name or address of the broker.")
    port: int | None = Field(None, ge=1, le=65535, description="TCP port; without it 8883 with TLS and 1883 otherwise.")
    protocol: Annotated[Literal["5", "3.1.1"], BeforeValidator(lambda given: "5" if given == 5 else given)] = Field(
        "5", description="MQTT version: `5` or `3.1.1`."
    )
    client_id: str | None = Field(
        None,
        min_length=1,
        max_length=256,
        description="Client id, where the broker wants a certain one. Otherwise made of this host, `name` and the topics.",
    )
    username: str | Secret | None = Field(None, description="User name, or where to find it: `{file: ...}` or `{env: ...}`.")
    password: Secret | None = Field(None, description="Where to find the password: `{file: /run/secrets/mqtt}` or `{env: MQTT_PASSWORD}`.")
    tls: Tls | None = Field(None, description="Use TLS. `tls: {}` trusts the system's certificate authorities.")
    topics: list[MqttTopic] = Field(min_length=1, description="What to subscribe to. The first pattern that matches a topic reads it.")
    qos: Literal[0, 1] = Field(1, description="Quality of service to subscribe with. With 1, what is published with 1 during a short outage arrives after it.")
    share_group: str | None = Field(
        None,
        pattern=r"^[^/+#]+$",
        description="Share the subscriptions with the other clients of this group (`$share/<group>/...`); each message goes to one.",
    )
    session_seconds: int = Field(
        600,
        ge=0,
        lt=2**32,
        description="How long the broker keeps messages for us while we are away; 0: not at all, as where a topic lacks `time_path`. "
        "In MQTT 3.1.1 the broker decides.",
    )
    keepalive_seconds: int = Field(
        30, ge=5, le=65535, description="A connection silent for so long is checked, and given up when no answer comes for as long again."
    )
    connect_timeout_seconds: float = Field(10.0, gt=0, description="How long the broker may take to accept a connection.")
    retry_seconds: float = Field(
        1.0,
        gt=0,
        description="First pause before connecting again. It doubles with every failure, and varies by a quarter.",
    )
    retry_max_seconds: float = Field(60.0, gt=0, description="Longest pause before connecting again.")
    queue_limit: int = Field(100_000, ge=2, description="Readings that may wait to be processed. When it is full the oldest are dropped and counted.")
    max_payload_bytes: int = Field(65_536, ge=1, description="A longer payload is refused as `oversized`.")

    def address(self) -> tuple[str, int]:
        return self.host, self.port or (8883 if self.tls else 1883)

    def filters(self) -> list[str]:
        """Topic filters to subscribe to, each once."""
        share = f"$share/{self.share_group}/" if self.share_group else ""
        return [share + pattern for pattern in dict.fromkeys(parse_topic(topic.topic).filter for topic in self.topics)]

    def kept_seconds(self) -> int:
        """How long the broker is to keep messages for us: not at all unless every one says its time, since what was kept would pass for fresh."""
        return self.session_seconds if all(topic.time_path for topic in self.topics) else 0

    def session_id(self) -> str:
        """The client id. Other topics make another one, so that a kept session never brings what is no longer subscribed to."""
        digest = hashlib.sha256("\n".join([socket.gethostname(), self.name, *self.filters()]).encode()).hexdigest()
        return self.client_id or f"gridtone-{digest[:14]}"  # 23 characters: every broker takes those


class MqttAdapter:
    """Keeps one connection to one broker while `batches()` is read."""

    def __init__(self, config: MqttConfig) -> None:
        self.name = config.name
        self._config = config
        self._where = "the broker {}:{}".format(*config.address())
        self._intake = Intake(config.name, config.queue_limit)
        self._topic_readers = [TopicReader(topic) for topic in config.topics]
        self._point_readers: dict[str, PointReader] = {}
        self._messages = 0
        self._messages_before = 0
        self._accepted_at: float | None = None
        self._asked: list[str] = []
        """The filters of the last request to subscribe."""
        self._asked_at = 0.0
        self._granted = False
        """The broker has let us subscribe to everything. Until then we are not connected: what a filter hides, nobody can tell."""
        self._withheld: list[str] = []
        """Filters that were refused; asked for again, since an access list may be mended while the connection lasts."""
        self._problem = f"not connected to {self._where} yet"
        self._refused = False
        self._last_words = ""
        self._thread = threading.Thread(target=self._run, name=f"mqtt {config.name}", daemon=True)

    def batches(self) -> Iterator[list[Reading]]:
        self._thread.start()
        return self._intake.batches()

    def health(self) -> Health:
        accepted_at, problem = self._accepted_at, self._problem
        connected = accepted_at is not None and self._granted
        if accepted_at is not None and not problem and self._messages == self._messages_before and time.monotonic() - accepted_at > SILENT_SECONDS:
            problem = (
                f"connected to {self._where}, but nothing has arrived since: is anything published on {', '.join(self._config.filters())}, "
                "and may this user read it (the broker's access list)?"
            )
        return self._intake.health(connected, problem)

    def close(self) -> None:
        self._intake.close()
        if self._thread.is_alive():
            self._thread.join(2 * POLL_SECONDS)

    def _run(self) -> None:
        """Connect, listen, and after every end connect again, until closed."""
        pause = self._config.retry_seconds
        while not self._intake.closed.is_set():
            client = None
            try:
                client = self._client()
                self._listen(client)
            except (OSError, SetupError) as error:
                self._report(explain(error, self._where, self._config.tls is not None))
            except Exception as error:
                log.exception("%s: unexpected trouble", self.name)
                self._report(f"unexpected trouble with {self._where} ({type(error).__name__}: {error}); see the log")
            if client is not None:
                client.on_disconnect = None
                client.disconnect()
            if self._accepted_at is not None and time.monotonic() - self._accepted_at > pause:
                pause = self._config.retry_seconds
            self._accepted_at, self._granted, self._withheld = None, False, []
            self._intake.closed.wait(pause * random.uniform(0.75, 1.25))  # noqa: S311 - not a secret
            pause = min(pause * 2, self._config.retry_max_seconds)

    def _client(self) -> paho.Client:
        """A new client for one connection. Raises SetupError."""
        config = self._config
        version_5 = config.protocol == "5"
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=config.session_id(),
            protocol=paho.MQTTv5 if version_5 else paho.MQTTv311,
            clean_session=None if version_5 else config.kept_seconds() == 0,
            reconnect_on_failure=False,
        )
        client.connect_timeout = config.connect_timeout_seconds
        if config.username is not None or config.password is not None:
            client.username_pw_set(plain(config.username), plain(config.password))
        if config.tls:
            client.tls_set_context(config.tls.context())
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect
        client.on_log = self._on_log
        return client

    def _listen(self, client: paho.Client) -> None:
        """Connect and take what comes, until the connection ends or we are closed. Raises OSError."""
        config = self._config
        self._refused, self._last_words = False, ""
        deadline = time.monotonic() + config.connect_timeout_seconds
        if config.protocol == "5":
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = config.kept_seconds()
            client.connect(*config.address(), config.keepalive_seconds, clean_start=config.kept_seconds() == 0, properties=properties)
        else:
            client.connect(*config.address(), config.keepalive_seconds)
        connection: Any = client.socket()
        if connection is None:
            return  # lost while our greeting was written; reported
        pending = getattr(connection, "pending", lambda: 0)  # what TLS has decrypted already, which select cannot see
        with selectors.DefaultSelector() as selector:
            selector.register(connection, selectors.EVENT_READ)
            while client.socket() is not None and not self._intake.closed.is_set():
                if pending() or selector.select(POLL_SECONDS):
                    self._take_burst(client)
                if client.want_write():
                    client.loop_write()
                client.loop_misc()
                if self._withheld and time.monotonic() - self._asked_at > config.retry_max_seconds:
                    self._subscribe(client, self._withheld)
                if self._accepted_at is None and time.monotonic() > deadline and client.socket() is not None:
                    raise TimeoutError

    def _take_burst(self, client: paho.Client) -> None:
        """Read messages until there are none for now."""
        for _ in range(BURST):
            before = self._messages
            if client.loop_read() != paho.MQTT_ERR_SUCCESS or self._messages == before:
                break
        self._intake.wake()

    def _on_message(self, _client: paho.Client, _userdata: object, message: paho.MQTTMessage) -> None:
        self._messages += 1
        payload = message.payload
        topic = "(not UTF-8)"
        try:
            topic = message.topic
            reader = self._point_readers.get(topic) or self._point_reader(topic)
            if len(payload) > self._config.max_payload_bytes:
                raise Unreadable("oversized")
            for reading in reader.read(payload, time.time(), message.retain, lambda reason: self._intake.reject(reason, topic, payload)):
                self._intake.add(reading)
        except Unreadable as error:
            self._intake.reject(error.reason, topic, payload)
        except UnicodeDecodeError:
            self._intake.reject("unknown_topic", topic, payload)

    def _point_reader(self, topic: str) -> PointReader:
        for topic_reader in self._topic_readers:
            if reader := topic_reader.for_topic(topic):
                if len(self._point_readers) >= TOPICS_REMEMBERED:
                    self._point_readers.clear()
                self._point_readers[topic] = reader
                return reader
        raise Unreadable("unknown_topic")

    def _on_connect(self, client: paho.Client, _userdata: object, _flags: object, reason: ReasonCode, _properties: object) -> None:
        if reason.is_failure:
            self._refused = True
            self._report(f"{self._where} refused us ({reason}): {ADVICE.get(str(reason), 'see the broker log')}")
            return
        client.on_log = None  # it costs time for every message
        self._messages_before = self._messages
        self._accepted_at = time.monotonic()
        self._subscribe(client, self._config.filters())

    def _subscribe(self, client: paho.Client, filters: list[str]) -> None:
        self._asked, self._asked_at, self._withheld = filters, time.monotonic(), []
        qos: int = self._config.qos
        if self._config.protocol == "5":
            client.subscribe([(topic, SubscribeOptions(qos=qos)) for topic in filters])
        else:
            client.subscribe([(topic, qos) for topic in filters])

    def _on_subscribe(self, _client: paho.Client, _userdata: object, _mid: int, reasons: list[ReasonCode], _properties: object) -> None:
        refused = {topic: reason for topic, reason in zip(self._asked, reasons, strict=False) if reason.is_failure}
        self._withheld, self._granted = list(refused), not refused
        named = ", ".join(f"{topic} ({reason})" for topic, reason in refused.items())
        self._report(f"{self._where} refused the subscription to {named}: let this user read there (the broker's access list)" if refused else "")

    def _on_disconnect(self, _client: paho.Client, _userdata: object, _flags: object, reason: ReasonCode, _properties: object) -> None:
        if self._accepted_at is not None:
            advice = ADVICE.get(str(reason), "connecting again; if it repeats, another client may use our `client_id`")
            self._report(f"{self._where} ended the connection ({reason}): {advice}")
        elif not self._refused:
            ending = ssl.SSLError(self._last_words) if "SSL" in self._last_words else ConnectionResetError()
            self._report(explain(ending, self._where, self._config.tls is not None))

    def _on_log(self, _client: paho.Client, _userdata: object, level: int, text: str) -> None:
        if level == paho.MQTT_LOG_ERR:
            self._last_words = text

    def _report(self, problem: str) -> None:
        if problem != self._problem:
            log.warning("%s: %s", self.name, problem) if problem else log.info("%s: connected to %s", self.name, self._where)
        self._problem = problem
