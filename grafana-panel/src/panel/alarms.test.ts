import { AlertState, FieldType, LoadingState, type PanelData, toDataFrame } from '@grafana/data';

import { type Alert, alarmIn, AlarmWatch } from './alarms';

const alert = (fingerprint: string, state: Alert['status']['state'] = 'active'): Alert => ({ fingerprint, startsAt: '2026-01-01T00:00:00Z', status: { state } });

describe('AlarmWatch', () => {
  it('hushes at an alarm and comes back only after acknowledgement and dwell', () => {
    const watch = new AlarmWatch(10);
    watch.see([], 0);
    expect(watch.hush(0)).toBeNull();
    watch.see([alert('a')], 1);
    expect(watch.hush(1)).toBe('alarm');
    watch.acknowledge(5);
    expect(watch.hush(5)).toBe('dwell');
    watch.see([alert('a')], 6);
    expect(watch.hush(14.9)).toBe('dwell');
    expect(watch.hush(15)).toBeNull();
  });

  it('waits for the acknowledgement of an alarm that cleared by itself', () => {
    const watch = new AlarmWatch(10);
    watch.see([alert('a')], 1);
    watch.see([], 2);
    expect(watch.hush(1000)).toBe('alarm');
    watch.acknowledge(1000);
    expect(watch.hush(1010)).toBeNull();
  });

  it('takes a silence in Grafana for an acknowledgement', () => {
    const watch = new AlarmWatch(10);
    watch.see([alert('a')], 1);
    watch.see([alert('a', 'suppressed')], 3);
    expect(watch.hush(12.9)).toBe('dwell');
    expect(watch.hush(13)).toBeNull();
  });

  it('hushes at a second alarm though the first was acknowledged, and at the first when it comes again', () => {
    const watch = new AlarmWatch(0);
    watch.see([alert('a')], 1);
    watch.acknowledge(1);
    watch.see([alert('a'), alert('b')], 2);
    expect(watch.hush(2)).toBe('alarm');
    watch.acknowledge(3);
    watch.see([], 4);
    watch.see([alert('a')], 5);
    expect(watch.hush(5)).toBe('alarm');
  });

  it('hushes while the alarms cannot be seen, without forgetting one', () => {
    const watch = new AlarmWatch(10);
    watch.see([], 1, true);
    expect(watch.hush(1)).toBe('unknown');
    watch.see([], 2);
    expect(watch.hush(11)).toBe('dwell');
    expect(watch.hush(12)).toBeNull();
    watch.see([alert('a')], 20);
    watch.see([], 21, true);
    expect(watch.hush(21)).toBe('alarm');
  });
});

describe('alarmIn', () => {
  const panel = (value: number | null, more: Partial<PanelData> = {}) =>
    ({ state: LoadingState.Done, series: [toDataFrame({ fields: [{ name: 'trip', type: FieldType.number, values: [1, value] }] })], ...more }) as PanelData;
  const linked = (state: AlertState) => panel(0, { alertState: { id: 1, dashboardUID: 'grid', panelId: 1, state } });

  it('is a last value above zero, where values hush', () => {
    expect([1, 0, -1, null].map((value) => alarmIn(panel(value), [], true))).toEqual([true, false, false, false]);
    expect(alarmIn(panel(1), [], false)).toBe(false);
  });

  it('is not known where the query failed', () => {
    expect(alarmIn(panel(0, { state: LoadingState.Error }), [], true)).toBeNull();
    expect(alarmIn(panel(0, { state: LoadingState.Error }), [], false)).toBe(false);
  });

  it("is a chosen state of the panel's alert", () => {
    expect(alarmIn(linked(AlertState.Alerting), [AlertState.Alerting], false)).toBe(true);
    expect(alarmIn(linked(AlertState.Pending), [AlertState.Alerting], false)).toBe(false);
    expect(alarmIn(linked(AlertState.Pending), [AlertState.Alerting, AlertState.Pending], false)).toBe(true);
  });
});
