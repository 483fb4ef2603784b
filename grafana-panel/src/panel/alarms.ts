import { type AlertState, FieldType, LoadingState, type PanelData } from '@grafana/data';
import { getBackendSrv } from '@grafana/runtime';
import { lastValueFrom } from 'rxjs';

/** An alert of Grafana's Alertmanager. */
export interface Alert {
  fingerprint: string;
  startsAt: string;
  status: { state: 'active' | 'suppressed' | 'unprocessed' };
}

/** Why the music is hushed: an alarm nobody has acknowledged, alarms that cannot be seen, or the time after either. */
export type Hush = 'alarm' | 'unknown' | 'dwell';

/**
 * Keeps the music down from an alarm until a person has acknowledged it (here, or by a silence in Grafana) and a dwell has passed.
 * An alarm that clears by itself still waits for its acknowledgement.
 */
export class AlarmWatch {
  private readonly pending = new Set<string>();
  private readonly acknowledged = new Set<string>();
  private blind = false;
  private clearSince = -Infinity;

  constructor(public dwellSeconds: number) {}

  /** The alerts at `now` (seconds); `blind` where not all could be asked for. */
  see(alerts: Alert[], now: number, blind = false): void {
    const before = this.pending.size > 0 || this.blind;
    this.blind = blind;
    const current = new Set<string>();
    for (const alert of alerts) {
      const key = `${alert.fingerprint} ${alert.startsAt}`;
      current.add(key);
      if (alert.status.state === 'suppressed') {
        this.pending.delete(key);
      } else if (!this.acknowledged.has(key)) {
        this.pending.add(key);
      }
    }
    if (!blind) {
      this.acknowledged.forEach((key) => current.has(key) || this.acknowledged.delete(key));
    }
    this.settle(before, now);
  }

  acknowledge(now: number): void {
    const before = this.pending.size > 0 || this.blind;
    this.pending.forEach((key) => this.acknowledged.add(key));
    this.pending.clear();
    this.settle(before, now);
  }

  hush(now: number): Hush | null {
    if (this.pending.size > 0) {
      return 'alarm';
    }
    if (this.blind) {
      return 'unknown';
    }
    return now < this.clearSince + this.dwellSeconds ? 'dwell' : null;
  }

  private settle(before: boolean, now: number): void {
    if (before && this.pending.size === 0 && !this.blind) {
      this.clearSince = now;
    }
  }
}

/** What a panel's own data says: whether there is an alarm, or null where its query failed. */
export function alarmIn(data: PanelData, states: AlertState[], valuesHush: boolean): boolean | null {
  if (data.alertState && states.includes(data.alertState.state)) {
    return true;
  }
  if (valuesHush && data.state === LoadingState.Error) {
    return null;
  }
  return valuesHush && data.series.some((frame) => frame.fields.some((field) => field.type === FieldType.number && Number(field.values.at(-1)) > 0));
}

/** The alerts with this name, now. */
export async function askAlerts(name: string): Promise<Alert[]> {
  const response = await lastValueFrom(
    getBackendSrv().fetch<Alert[]>({
      url: '/api/alertmanager/grafana/api/v2/alerts',
      params: { filter: `alertname=${JSON.stringify(name)}` },
      showErrorAlert: false,
    })
  );
  return response.data;
}
