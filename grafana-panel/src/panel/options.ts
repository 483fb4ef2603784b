import { type PanelModel } from '@grafana/data';

export interface Options {
  /** uid of the data source, a variable such as `${datasource}`, or empty for the first gridtone data source. */
  datasource: string;
  showTrack: boolean;
  showFeedback: boolean;
  autoplay: boolean;
  stayOn: boolean;
  crossfadeSeconds: number;
  alertName: string;
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
  dwellSeconds: 10,
};

/** Options as an older version of the panel, or a hand, wrote them: what is missing or of the wrong kind becomes the default. */
export function migrate({ options }: Pick<PanelModel<Partial<Options>>, 'options'>): Options {
  const given = Object.entries(options ?? {}).filter(
    ([name, value]) => name in DEFAULTS && typeof value === typeof DEFAULTS[name as keyof Options]
  );
  return { ...DEFAULTS, ...Object.fromEntries(given) };
}
