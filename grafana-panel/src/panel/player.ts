import { AudioEngine } from '../../../plugin/gridtone/server/static/player/audio.js';
import { type Problem } from '../service/problem';
import { Service } from '../service/service';
import { type Cue, type Standing } from '../service/types';
import { AlarmWatch, type Alert, askAlerts, type Hush } from './alarms';
import { ServiceClock } from './clock';
import { Connection, type Link } from './connection';
import { openTurn } from './turn';

const MUTE_SECONDS = 0.1;
const RETURN_SECONDS = 5;
const LOOK_EVERY_MILLISECONDS = 500;
const LEAVE_AFTER_MILLISECONDS = 10_000;
const ALERTS_LATE_SECONDS = 3;

/** What a panel may ask of the player. The panel that was shown last decides. */
export interface Wishes {
  /** Name of a Grafana alert that hushes the music; empty for none. */
  alertName: string;
  dwellSeconds: number;
  /** 0: as the service says. */
  crossfadeSeconds: number;
  /** Go on while no dashboard with a panel is open. */
  stayOn: boolean;
}

/** Everything that panels show. A new object at every change. */
export interface View {
  link: Link;
  problem: Problem | null;
  standing: Standing | null;
  cue: Cue | null;
  /** `elsewhere`: another panel or tab of this browser sounds. */
  sound: 'off' | 'on' | 'refused' | 'elsewhere';
  audioProblem: '' | 'no_audio' | 'no_network';
  volume: number;
  /** Local time in milliseconds until which a person muted the music; 0 if nobody did. */
  mutedUntil: number;
  hush: Hush | null;
}

/** One service heard in this browser tab. Lives outside React, so that no redraw, edit or change of dashboard stops the music. */
export class Player {
  readonly service: Service;
  readonly clock = new ServiceClock();
  private readonly engine: AudioEngine;
  private readonly connection: Connection;
  private readonly alarms = new AlarmWatch(0);
  private readonly turn = openTurn((mine) => this.turnCame(mine));
  private readonly watchers = new Set<() => void>();
  private wishes: Wishes = { alertName: '', dwellSeconds: 10, crossfadeSeconds: 0, stayOn: true };
  private asked = false;
  private mine = false;
  private looking: ReturnType<typeof setInterval> | null = null;
  private leaving: ReturnType<typeof setTimeout> | null = null;
  private askedAlertsAt: number | null = null;
  private servedAlerts: Alert[] | null = [];
  private readonly panelAlarms = new Map<string, boolean | null>();
  private hushed = false;
  private view: View = {
    link: 'connecting',
    problem: null,
    standing: null,
    cue: null,
    sound: 'off',
    audioProblem: '',
    volume: 0.7,
    mutedUntil: 0,
    hush: null,
  };

  constructor(proxyUrl: string) {
    this.service = new Service(proxyUrl);
    this.engine = new AudioEngine(this.clock, (id, codec, limit) => this.service.audio(id, codec, limit), () => this.showSound());
    this.connection = new Connection(this.service, this.clock, {
      cue: (cue) => this.follow(cue),
      standing: (standing) => this.show({ standing }),
      link: (link, problem) => {
        if (link === 'lost') {
          this.engine.lost();
        } else if (link !== 'connecting') {
          this.engine.found();
        }
        this.show({ link, problem });
      },
    });
  }

  /** For `useSyncExternalStore`; the player listens to the service while anybody watches or the music is on. */
  readonly subscribe = (watcher: () => void): (() => void) => {
    this.watchers.add(watcher);
    if (this.leaving !== null) {
      clearTimeout(this.leaving);
      this.leaving = null;
    }
    this.connection.open();
    this.looking ??= setInterval(() => this.look(), LOOK_EVERY_MILLISECONDS);
    return () => {
      this.watchers.delete(watcher);
      if (this.watchers.size === 0) {
        this.leaving ??= setTimeout(() => this.leave(), LEAVE_AFTER_MILLISECONDS);
      }
    };
  };

  readonly getView = (): View => this.view;

  wish(wishes: Wishes): void {
    this.wishes = wishes;
    this.alarms.dwellSeconds = wishes.dwellSeconds;
    this.look();
  }

  /** Turn the sound on: from a click, a key, or where the browser allows it unasked. `force` takes it from another panel or tab. */
  play(force = false): void {
    this.asked = true;
    this.show({ sound: this.mine ? this.view.sound : 'elsewhere' });
    this.turn.take(force);
  }

  pause(): void {
    this.asked = this.mine = false;
    this.turn.release();
    this.engine.disable();
    this.showSound();
  }

  setVolume(volume: number): void {
    this.engine.setVolume(volume);
    this.show({ volume });
  }

  /** 0 ends the mute. */
  muteFor(minutes: number): void {
    this.show({ mutedUntil: minutes > 0 ? Date.now() + minutes * 60_000 : 0 });
    this.look();
  }

  /** What a panel's own data says: whether there is an alarm, or null where it cannot tell. An alarm stays until it is acknowledged. */
  seePanel(panel: string, alarm: boolean | null): void {
    this.panelAlarms.set(panel, alarm);
    this.judge();
  }

  /** A panel is no longer shown. What it said of alarms stands; that it could not tell is over. */
  panelGone(panel: string): void {
    if (this.panelAlarms.get(panel) === null) {
      this.panelAlarms.delete(panel);
      this.judge();
    }
  }

  acknowledge(): void {
    this.alarms.acknowledge(this.clock.localSeconds());
    this.look();
  }

  private turnCame(mine: boolean): void {
    this.mine = mine && this.asked;
    if (this.mine) {
      void this.engine.enable();
    } else {
      this.engine.disable();
    }
    this.showSound();
  }

  private follow(cue: Cue): void {
    const seconds = this.wishes.crossfadeSeconds;
    const crossfades = cue.action === 'play' && this.view.cue?.action === 'play'; // into silence and out of it, the service alone says how
    this.engine.follow(seconds > 0 && crossfades ? { ...cue, crossfade_seconds: seconds } : cue);
    this.show({ cue });
  }

  private look(): void {
    void this.lookAtAlarms();
    if (this.view.mutedUntil > 0 && this.view.mutedUntil <= Date.now()) {
      this.show({ mutedUntil: 0 });
    }
  }

  private judge(): void {
    const fromPanels = [...this.panelAlarms].filter(([, alarm]) => alarm).map(([panel]): Alert => ({ fingerprint: panel, startsAt: '', status: { state: 'active' } }));
    const blind = this.servedAlerts === null || [...this.panelAlarms.values()].includes(null);
    this.alarms.see([...(this.servedAlerts ?? []), ...fromPanels], this.clock.localSeconds(), blind);
    this.hushAsNeeded();
  }

  private hushAsNeeded(): void {
    const hush = this.alarms.hush(this.clock.localSeconds());
    const hushed = hush !== null || this.view.mutedUntil > 0;
    if (hushed !== this.hushed) {
      this.hushed = hushed;
      this.engine.setMuted(hushed, hushed ? MUTE_SECONDS : RETURN_SECONDS);
    }
    if (hush !== this.view.hush) {
      this.show({ hush });
    }
  }

  private async lookAtAlarms(): Promise<void> {
    const now = this.clock.localSeconds();
    if (!this.wishes.alertName) {
      this.servedAlerts = [];
    } else if (this.askedAlertsAt === null) {
      this.askedAlertsAt = now;
      this.servedAlerts = await askAlerts(this.wishes.alertName).catch(() => null);
      this.askedAlertsAt = null;
    } else if (now - this.askedAlertsAt > ALERTS_LATE_SECONDS) {
      this.servedAlerts = null;
    }
    this.judge();
  }

  private leave(): void {
    this.leaving = null;
    if (this.asked && this.wishes.stayOn) {
      return;
    }
    this.pause();
    this.connection.close();
    if (this.looking !== null) {
      clearInterval(this.looking);
      this.looking = null;
    }
  }

  private showSound(): void {
    const { sound, problem } = this.engine.status;
    this.show({ sound: this.asked && !this.mine ? 'elsewhere' : sound, audioProblem: problem });
  }

  private show(changes: Partial<View>): void {
    this.view = { ...this.view, ...changes };
    this.watchers.forEach((watcher) => watcher());
  }
}

const players = new Map<string, Player>();

/** The player of a data source, by the address of its proxy: one in this tab, whoever asks. */
export function playerOf(proxyUrl: string): Player {
  const known = players.get(proxyUrl) ?? new Player(proxyUrl);
  players.set(proxyUrl, known);
  return known;
}
