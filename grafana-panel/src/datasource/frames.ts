import { type DataFrame, FieldType, MappingType, createDataFrame, type ValueMapping } from '@grafana/data';
import { t } from '@grafana/i18n';

import { type Adapter, type Feedback, type Play, type Sampler, type Severity, type SignalTrend, type StateSpan, type StateView } from '../service/types';
import { pick } from '../service/words';

const COLORS: Record<Severity, string> = {
  normal: 'green',
  restorative: 'blue',
  alert: 'orange',
  emergency: 'red',
  in_extremis: 'dark-red',
  unknown: 'gray',
};

/** For the state timeline: the state at each change, and nothing after an end. */
export function statesFrame(spans: StateSpan[], states: StateView[], from: number, to: number): DataFrame {
  const times: number[] = [];
  const values: Array<string | null> = [];
  for (const [i, span] of spans.entries()) {
    times.push(Math.max(span.start * 1000, from));
    values.push(span.state);
    const end = span.end === null ? null : span.end * 1000;
    const next = spans[i + 1]?.start;
    if (end !== null && end < to && (next === undefined || next * 1000 > end)) {
      times.push(end);
      values.push(null); // the service did not run
    }
  }
  return createDataFrame({
    name: 'states',
    fields: [
      { name: 'time', type: FieldType.time, values: times },
      { name: 'state', type: FieldType.string, values, config: { displayName: t('frames.state', 'State of the grid'), mappings: mappings(spans, states) } },
    ],
  });
}

function mappings(spans: StateSpan[], states: StateView[]): ValueMapping[] {
  const titles = new Map(states.map((state) => [state.name, pick(state.title)]));
  const options = Object.fromEntries(
    spans.map(({ state, severity }) => [state, { text: titles.get(state) ?? state, color: COLORS[severity] ?? COLORS.unknown }])
  );
  return [{ type: MappingType.ValueToText, options }];
}

/** For annotations: one region for every state, but for calm ones a line at most where they begin. */
export function changesFrame(spans: StateSpan[], states: StateView[]): DataFrame {
  const titles = new Map(states.map((state) => [state.name, pick(state.title)]));
  return createDataFrame({
    name: 'changes',
    fields: [
      { name: 'time', type: FieldType.time, values: spans.map((span) => span.start * 1000) },
      { name: 'timeEnd', type: FieldType.time, values: spans.map((span) => (span.severity === 'normal' || span.end === null ? null : span.end * 1000)) },
      { name: 'title', type: FieldType.string, values: spans.map((span) => titles.get(span.state) ?? span.state) },
      { name: 'text', type: FieldType.string, values: spans.map((span) => pick(span.reason)) },
      { name: 'tags', type: FieldType.other, values: spans.map((span) => [span.state, span.severity]) },
    ],
  });
}

/** One frame a signal, as time series panels like it. */
export function signalFrames(signals: SignalTrend[], from: number, to: number): DataFrame[] {
  return signals.map(({ name, title, unit, times, values }) => {
    const inside = times.map((time, i) => [time * 1000, values[i]] as const).filter(([time]) => time >= from && time <= to);
    return createDataFrame({
      name,
      fields: [
        { name: 'time', type: FieldType.time, values: inside.map(([time]) => time) },
        { name, type: FieldType.number, values: inside.map(([, value]) => value), config: { displayName: pick(title), unit: unitOf(unit) } },
      ],
    });
  });
}

const UNITS: Record<string, string> = { '%': 'percent', Hz: 'hertz', kV: 'kvolt', V: 'volt', MW: 'megwatt', kW: 'kwatt', A: 'amp' };

function unitOf(unit: string): string | undefined {
  return UNITS[unit] ?? (unit ? `suffix: ${unit}` : undefined);
}

/** A table of `rows` under translated headings; `*time` columns are times in seconds. */
function table<T>(name: string, rows: T[], columns: Array<[keyof T & string, string, FieldType]>): DataFrame {
  return createDataFrame({
    name,
    fields: columns.map(([key, displayName, type]) => ({
      name: key,
      type,
      values: rows.map((row) => (type === FieldType.time ? Number(row[key]) * 1000 : row[key])),
      config: { displayName },
    })),
  });
}

const { time, string, number, boolean } = FieldType;

export function playsFrame(plays: Play[]): DataFrame {
  return table('plays', plays, [
    ['time', t('frames.time', 'Time'), time],
    ['state', t('frames.state_short', 'State'), string],
    ['text', t('frames.track', 'Track'), string],
    ['licence', t('frames.licence', 'Licence'), string],
    ['track_id', t('frames.track_id', 'Track id'), string],
  ]);
}

export function feedbackFrame(feedback: Feedback[]): DataFrame {
  const rows = feedback.map((given) => ({ ...given, thumb: given.thumb > 0 ? '👍' : '👎' }));
  return table('feedback', rows, [
    ['time', t('frames.time', 'Time'), time],
    ['thumb', t('frames.thumb', 'Thumb'), string],
    ['reason', t('frames.reason', 'Reason'), string],
    ['state', t('frames.state_short', 'State'), string],
    ['text', t('frames.track', 'Track'), string],
    ['track_id', t('frames.track_id', 'Track id'), string],
  ]);
}

export function stockFrame(states: StateView[]): DataFrame {
  const rows = states.filter((state) => !state.silent).map((state) => ({ ...state, title: pick(state.title) }));
  return table('stock', rows, [
    ['title', t('frames.state_short', 'State'), string],
    ['fresh', t('frames.fresh', 'Fresh tracks'), number],
    ['wanted', t('frames.wanted', 'Wanted'), number],
  ]);
}

export function samplerFrame(sampler: Sampler): DataFrame {
  const progress = { ...sampler, percent: sampler.fraction * 100 };
  const frame = table('sampler', [progress], [
    ['engine', t('frames.engine', 'Engine'), string],
    ['running', t('frames.running', 'Running'), boolean],
    ['job', t('frames.job', 'Working on'), string],
    ['percent', t('frames.progress', 'Progress'), number],
    ['problem', t('frames.problem', 'Problem'), string],
  ]);
  frame.fields[3].config = { ...frame.fields[3].config, unit: 'percent', min: 0, max: 100 };
  return frame;
}

export function adaptersFrame(adapters: Adapter[]): DataFrame {
  return table('adapters', adapters, [
    ['name', t('frames.source', 'Source'), string],
    ['connected', t('frames.connected', 'Connected'), boolean],
    ['received', t('frames.received', 'Received'), number],
    ['dropped', t('frames.dropped', 'Dropped'), number],
    ['problem', t('frames.problem', 'Problem'), string],
  ]);
}
