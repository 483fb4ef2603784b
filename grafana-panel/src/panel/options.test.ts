import { DEFAULTS, migrate } from './options';

describe('options', () => {
  it('fills what is missing and replaces what is of the wrong kind', () => {
    expect(migrate({ options: {} })).toEqual(DEFAULTS);
    const old = { datasource: 'abc', crossfadeSeconds: '3', alertStates: {}, volume: 0.3 } as never;
    expect(migrate({ options: old })).toEqual({ ...DEFAULTS, datasource: 'abc' });
  });
});
