import { dateTime, type DataQueryRequest, type DataSourceInstanceSettings, FieldType, type DataFrame } from '@grafana/data';

import { GridtoneDataSource } from './datasource';
import { KINDS, type Kind, type Query, type Settings } from './types';

const NOW = Date.now();
const HOUR = 3_600_000;
const seconds = (hoursAgo: number) => NOW / 1000 - hoursAgo * 3600;
const ANSWERS: Record<string, unknown> = {
  states: {
    rules_problem: '',
    states: [
      { name: 'low', title: { en: 'Low load', zh: '低负荷' }, severity: 'normal', silent: false, fresh: 3, wanted: 4 },
      { name: 'no_data', title: { en: 'No data' }, severity: 'unknown', silent: true, fresh: 0, wanted: 0 },
    ],
  },
  history: {
    spans: [
      { state: 'low', severity: 'normal', start: seconds(5), end: seconds(2), reason: { en: 'calm' } },
      { state: 'high', severity: 'alert', start: seconds(1.5), end: seconds(1), reason: { en: 'line HV-12 at 112 %' } },
      { state: 'low', severity: 'normal', start: seconds(1), end: null, reason: { en: 'calm again' } },
    ],
  },
  signals: { signals: [{ name: 'load', title: { en: 'Load' }, unit: '%', times: [seconds(2), seconds(1), seconds(0.5)], values: [50, null, 70] }] },
  plays: { plays: [{ time: seconds(9), state: 'low', track_id: 'x', text: 'old', licence: '' }, { time: seconds(1), state: 'low', track_id: 'a', text: 'calm', licence: 'CC0-1.0' }] },
  feedback: { feedback: [{ time: seconds(1), track_id: 'a', state: 'low', text: 'calm', thumb: -1, reason: 'too busy' }] },
  sampler: { running: true, engine: 'composer', problem: '', job: 'track 2', fraction: 0.42 },
  adapters: { adapters: [{ name: 'scada', connected: false, problem: 'refused', received: 12, dropped: 0 }] },
};

let refuse: object | null = null;
const asked: Array<{ url: string; params?: Record<string, unknown> }> = [];

jest.mock('@grafana/runtime', () => {
  const { of, throwError } = jest.requireActual('rxjs');
  return {
    config: { bootData: { user: { language: 'en-US' } } },
    isFetchError: (error: unknown) => typeof error === 'object' && error !== null && 'status' in error,
    getTemplateSrv: () => ({ replace: (text: string) => text.replace('$signal', 'load,frequency') }),
    getBackendSrv: () => ({
      fetch: (request: { url: string; params?: Record<string, unknown> }) => {
        asked.push(request);
        return refuse ? throwError(() => refuse) : of({ data: ANSWERS[request.url.split('/').pop()!], headers: new Map() });
      },
    }),
  };
});

const datasource = new GridtoneDataSource({ url: '/api/datasources/proxy/uid/abc', jsonData: {} } as DataSourceInstanceSettings<Settings>);

function run(kind: Kind, more: Partial<Query> = {}) {
  const range = { from: dateTime(NOW - 4 * HOUR), to: dateTime(NOW), raw: { from: '', to: '' } };
  return datasource.query({ targets: [{ refId: 'A', kind, ...more }], range, scopedVars: {} } as unknown as DataQueryRequest<Query>);
}

async function frame(kind: Kind, more?: Partial<Query>): Promise<Record<string, unknown[]>> {
  const { data } = await run(kind, more);
  return Object.fromEntries((data[0] as DataFrame).fields.map((field) => [field.name, field.values]));
}

beforeEach(() => {
  refuse = null;
  asked.length = 0;
});

describe('the data source', () => {
  it('gives states a timeline can draw, with gaps where nothing was recorded', async () => {
    const { time, state } = await frame('states');
    expect(state).toEqual(['low', null, 'high', 'low']);
    expect(time[0]).toBe(NOW - 4 * HOUR);
    const { data } = await run('states');
    expect(data[0].fields[1].config.mappings[0].options.low).toEqual({ text: 'Low load', color: 'green' });
  });

  it('gives changes as annotations, regions where they are not calm', async () => {
    const { title, text, tags, timeEnd } = await frame('changes');
    expect(title).toEqual(['Low load', 'high', 'Low load']);
    expect(text[1]).toBe('line HV-12 at 112 %');
    expect(tags[1]).toEqual(['high', 'alert']);
    expect(timeEnd.map(Boolean)).toEqual([false, true, false]);
  });

  it('gives signals with their unit and gaps, and replaces variables', async () => {
    const { load } = await frame('signals', { signals: ['$signal'] });
    expect(load).toEqual([50, null, 70]);
    expect(asked[0].params?.signal).toEqual(['load', 'frequency']);
    const { data } = await run('signals');
    expect(data[0].fields[1].config).toEqual({ displayName: 'Load', unit: 'percent' });
  });

  it('gives plays and feedback of the range, newest first, and what is true now', async () => {
    expect((await frame('plays')).text).toEqual(['calm']);
    expect((await frame('feedback')).reason).toEqual(['too busy']);
    expect((await frame('stock')).title).toEqual(['Low load']);
    expect((await frame('sampler')).percent).toEqual([42]);
    expect((await frame('adapters')).problem).toEqual(['refused']);
  });

  it.each(KINDS)('asks only through the proxy of Grafana, and labels its frame: %s', async (kind) => {
    const { data } = await run(kind);
    expect(data[0].refId).toBe('A');
    expect(data[0].fields.every((field: { type: FieldType; values: unknown[] }) => field.values.length === data[0].length)).toBe(true);
    expect(asked.every(({ url }) => url.startsWith('/api/datasources/proxy/uid/abc/gridtone/api/v1/'))).toBe(true);
  });

  it.each([
    [{ status: 400, data: 'Authentication to data source failed' }, /token/],
    [{ status: 401, data: {} }, /signed you out/],
    [{ status: 403, data: {} }, /permission/],
    [{ status: 404, data: 'not found' }, /no gridtone at the address/],
    [{ status: 502, data: '' }, /cannot reach/],
    [{ status: 503, data: { error: { code: 'too_many_listeners', message: 'all places taken', hint: 'try later' } } }, /all places taken: try later/],
  ])('says what is wrong: %j', async (error, message) => {
    refuse = error;
    expect((await run('stock')).errors?.[0].message).toMatch(message);
    expect(await datasource.testDatasource()).toEqual({ status: 'error', message: expect.stringMatching(message) });
  });

  it('is healthy when there are tracks', async () => {
    expect(await datasource.testDatasource()).toEqual({ status: 'success', message: expect.stringContaining('Connected') });
  });
});
