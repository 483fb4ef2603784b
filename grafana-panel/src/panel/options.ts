import { AlertState, type PanelModel } from '@grafana/data';

export interface Options {
  /** uid of the data source, a variable such as `${datasource}`, or empty for the first gridtone data source. */
  datasource: string;
  showTrack: boolean;
  showFeedback: boolean;
  autoplay: boolean;
  stayOn: boolean;
  crossfadeSeconds: number;
  alertName: string;
  /** States of an alert rule that is linked to this panel. */
  alertStates: AlertState[];
  /** A last value above zero in the panel's own query is an alarm. */
  valuesHush: boolean;
  dwellSeconds: number;
}

export const DEFAULTS: Options = {
  datasource: '',
  showTrack: true,
  showFeedback: true,
  autoplay: false,
  stayOn: true,
  crossfadeSeconds: 0,
  alertName: '',
  alertStates: [AlertState.Alerting],
  valuesHush: false,
  dwellSeconds: 10,
};

/** Options as an older version of the panel, or a hand, wrote them: what is missing or of the wrong kind becomes the default. */
export function migrate({ options }: Pick<PanelModel<Partial<Options>>, 'options'>): Options {
  const given = Object.entries(options ?? {}).filter(
    ([name, value]) => name in DEFAULTS && kind(value) === kind(DEFAULTS[name as keyof Options])
  );
  return { ...DEFAULTS, ...Object.fromEntries(given) };
}

const kind = (value: unknown) => (Array.isArray(value) ? 'array' : typeof value);
