import { getBackendSrv, isFetchError, type BackendSrvRequest } from '@grafana/runtime';
import { fromEvent, lastValueFrom, takeUntil } from 'rxjs';

export interface Answer<T> {
  data: T;
  /** The service's clock when it answered, seconds since the Unix epoch; NaN where the proxy hides it. */
  time: number;
}

/** A gridtone service behind Grafana's data-source proxy, which adds the token: the browser never has it. */
export class Service {
  /** @param proxyUrl the data source's `url` */
  constructor(proxyUrl: string) {
    this.base = `${proxyUrl}/gridtone/api/v1`;
  }

  readonly base: string;

  async ask<T>(path: string, params?: Record<string, unknown>): Promise<Answer<T>> {
    const response = await this.fetch<T>({ url: `${this.base}/${path}`, params });
    return { data: response.data, time: Number(response.headers.get('X-Gridtone-Time') ?? NaN) };
  }

  async get<T>(path: string, params?: Record<string, unknown>): Promise<T> {
    return (await this.ask<T>(path, params)).data;
  }

  /** null where the service has no such audio. Throws TypeError where the network is the reason, or `limit` came first. */
  async audio(trackId: string, codec: 'opus' | 'flac', limit: AbortSignal): Promise<ArrayBuffer | null> {
    try {
      const url = `${this.base}/tracks/${trackId}/audio`;
      const request: BackendSrvRequest = { url, params: { codec }, responseType: 'arraybuffer', showErrorAlert: false };
      return (await lastValueFrom(getBackendSrv().fetch<ArrayBuffer>(request).pipe(takeUntil(fromEvent(limit, 'abort'))))).data;
    } catch (error) {
      if (isFetchError(error) && error.status === 404) {
        return null;
      }
      throw new TypeError('the audio could not be fetched', { cause: error });
    }
  }

  async sendFeedback(trackId: string, thumb: 1 | -1, reason: string): Promise<void> {
    await this.fetch({ url: `${this.base}/tracks/${trackId}/feedback`, method: 'POST', data: { thumb, reason } });
  }

  private fetch<T>(request: BackendSrvRequest) {
    return lastValueFrom(getBackendSrv().fetch<T>({ showErrorAlert: false, ...request }));
  }
}
