// Listens to the service's events, and notices when it falls silent.

const LOST_AFTER_SECONDS = 5;
const REOPEN_SECONDS = 5;

export class Connection {
  #source = null;
  #heardAt = -Infinity;
  #openedAt = -Infinity;
  #status = "connecting";

  /**
   * @param {string} base address of the service, without a slash at its end; empty for the page's own
   * @param {ServiceClock} clock told the service's time
   * @param {string} desk where the listener sits, if the site limits desks; empty otherwise
   * @param {{message: (kind: string, payload: any) => void, status: (status: string, problem?: object) => void}} listener
   *   status: connecting, connected, lost, or refused with the service's error
   */
  constructor(base, clock, desk, listener) {
    this.address = `${base}/api/v1/events${desk ? `?desk=${encodeURIComponent(desk)}` : ""}`;
    this.clock = clock;
    this.listener = listener;
  }

  open() {
    this.#connect();
    setInterval(() => this.#watch(), 500);
  }

  /** Try again at once, after signing in say. */
  reopen() {
    this.#connect();
  }

  #connect() {
    this.#source?.close();
    this.#openedAt = this.clock.localSeconds();
    const source = new EventSource(this.address);
    this.#source = source;
    source.addEventListener("heartbeat", (event) => {
      this.clock.hear(JSON.parse(event.data).time);
      this.#heard();
    });
    for (const kind of ["state", "cue", "alarms", "stock", "rules", "adapters"]) {
      source.addEventListener(kind, (event) => {
        this.#heard();
        this.listener.message(kind, JSON.parse(event.data));
      });
    }
    source.onerror = () => source === this.#source && source.readyState === EventSource.CLOSED && this.#refused();
  }

  #heard() {
    this.#heardAt = this.clock.localSeconds();
    this.#become("connected");
  }

  #watch() {
    const now = this.clock.localSeconds();
    if (now - this.#heardAt <= LOST_AFTER_SECONDS) return;
    if (this.#status === "connected") this.#become("lost");
    if (now - Math.max(this.#openedAt, this.#heardAt) > REOPEN_SECONDS) this.#connect(); // a connection can die without either end being told
  }

  /** EventSource does not say why it was refused; ask again in a way that does. */
  async #refused() {
    const stop = new AbortController();
    try {
      const response = await fetch(this.address, { signal: stop.signal });
      if (!response.ok) this.#become("refused", (await response.json()).error);
    } catch {
      // Not reachable or not JSON: the watchdog says so and tries again.
    } finally {
      stop.abort();
    }
  }

  #become(status, problem) {
    if (status === this.#status && status !== "refused") return;
    this.#status = status;
    this.listener.status(status, problem);
  }
}
