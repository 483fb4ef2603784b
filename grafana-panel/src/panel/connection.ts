import { problemOf, type Problem } from '../service/problem';
import { type Service } from '../service/service';
import { type Cue, type Standing } from '../service/types';
import { type Clock } from './clock';

export const LOST_AFTER_SECONDS = 5;
const POLL_AFTER_SECONDS = 3;
const POLL_EVERY_SECONDS = 1;
const REOPEN_AFTER_SECONDS = 15;
const LOOK_EVERY_MILLISECONDS = 500;

/** `polling`: events do not come through, so the service is asked every second. `lost`: nothing was heard for 5 seconds. */
export type Link = 'connecting' | 'live' | 'polling' | 'lost';

export interface Listener {
  cue(cue: Cue): void;
  standing(standing: Standing): void;
  link(link: Link, problem: Problem | null): void;
}

/** Hears cues and states as events; asks for them where a proxy holds events back. */
export class Connection {
  private source: EventSource | null = null;
  private timer: ReturnType<typeof setInterval> | null = null;
  private link: Link = 'connecting';
  private problem: Problem | null = null;
  private heardAt = 0;
  private eventAt = 0;
  private openedAt = 0;
  private askedAt = -Infinity;
  private asking = false;

  constructor(
    private readonly service: Service,
    private readonly clock: Clock,
    private readonly listener: Listener
  ) {}

  open(): void {
    if (this.timer !== null) {
      return;
    }
    this.heardAt = this.eventAt = this.clock.localSeconds();
    this.connect();
    this.timer = setInterval(() => this.look(), LOOK_EVERY_MILLISECONDS);
  }

  close(): void {
    if (this.timer !== null) {
      clearInterval(this.timer);
    }
    this.timer = null;
    this.source?.close();
    this.become('connecting', null);
  }

  private connect(): void {
    this.source?.close();
    this.openedAt = this.clock.localSeconds();
    const source = (this.source = new EventSource(`${this.service.base}/events`));
    source.addEventListener('heartbeat', (event) => {
      this.clock.hear(JSON.parse(event.data).time);
      this.heardEvent();
    });
    source.addEventListener('cue', (event) => {
      this.heardEvent();
      this.listener.cue(JSON.parse(event.data));
    });
    source.addEventListener('state', (event) => {
      this.heardEvent();
      this.listener.standing(JSON.parse(event.data));
    });
  }

  private heardEvent(): void {
    this.heardAt = this.eventAt = this.clock.localSeconds();
    this.become('live', null);
  }

  private look(): void {
    const now = this.clock.localSeconds();
    if (now - this.heardAt > LOST_AFTER_SECONDS) {
      this.become('lost', this.problem ?? { code: 'unreachable' });
    }
    const eventsAreMissing = now - this.eventAt > POLL_AFTER_SECONDS || this.source?.readyState === EventSource.CLOSED;
    if (eventsAreMissing && !this.asking && now - this.askedAt >= POLL_EVERY_SECONDS) {
      this.askedAt = now;
      void this.poll();
    }
    if (now - Math.max(this.eventAt, this.openedAt) > REOPEN_AFTER_SECONDS) {
      this.connect();
    }
  }

  private async poll(): Promise<void> {
    this.asking = true;
    const asked = this.clock.localSeconds();
    try {
      const [standing, cue] = await Promise.all([this.service.ask<Standing>('state'), this.service.ask<Cue>('cue')]);
      if (this.timer === null || this.eventAt > asked) {
        return;
      }
      if (Number.isFinite(cue.time)) {
        this.clock.hear(cue.time);
      }
      this.heardAt = this.clock.localSeconds();
      this.become('polling', null);
      this.listener.standing(standing.data);
      this.listener.cue(cue.data);
    } catch (error) {
      this.problem = problemOf(error);
      if (this.link === 'lost' || this.link === 'connecting') {
        this.become('lost', this.problem);
      }
    } finally {
      this.asking = false;
    }
  }

  private become(link: Link, problem: Problem | null): void {
    if (link === 'live' || link === 'polling') {
      this.problem = null;
    }
    const same = link === this.link && JSON.stringify(problem) === JSON.stringify(this.reported);
    this.link = link;
    if (!same) {
      this.reported = problem;
      this.listener.link(link, problem);
    }
  }

  private reported: Problem | null = null;
}
