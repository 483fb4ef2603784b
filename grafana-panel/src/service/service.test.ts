import * as runtime from '@grafana/runtime';
import { NEVER, of } from 'rxjs';

import { Service } from './service';

const backend = (fetch: jest.Mock) => jest.spyOn(runtime, 'getBackendSrv').mockReturnValue({ fetch } as never);

describe('audio', () => {
  it('comes through the proxy of the data source', async () => {
    const bytes = new ArrayBuffer(8);
    const fetch = jest.fn(() => of({ data: bytes }));
    backend(fetch);
    expect(await new Service('/proxy').audio('abc', 'opus', new AbortController().signal)).toBe(bytes);
    expect(fetch).toHaveBeenCalledWith(expect.objectContaining({ url: '/proxy/gridtone/api/v1/tracks/abc/audio', params: { codec: 'opus' } }));
  });

  it('that does not come in time is a matter of the network', async () => {
    backend(jest.fn(() => NEVER));
    const limit = new AbortController();
    const asked = new Service('/proxy').audio('abc', 'opus', limit.signal);
    limit.abort();
    await expect(asked).rejects.toThrow(TypeError);
  });
});
