import { t } from '@grafana/i18n';
import { isFetchError } from '@grafana/runtime';

/** What stands in the way, as a person can act on it. */
export type Problem =
  | { code: 'unreachable' | 'token' | 'forbidden' | 'signed_out' | 'unconfigured' }
  | { code: 'service'; message: string; hint: string };

/** What a failed request through Grafana's proxy means. */
export function problemOf(error: unknown): Problem {
  if (!isFetchError(error)) {
    return { code: 'unreachable' };
  }
  const own = error.data?.error;
  if (own && typeof own === 'object' && 'message' in own) {
    return own.code === 'token_needed' ? { code: 'token' } : { code: 'service', message: own.message, hint: own.hint ?? '' };
  }
  switch (error.status) {
    case 400: // what Grafana's proxy makes of a 401 of the service
      return { code: 'token' };
    case 401:
      return { code: 'signed_out' };
    case 403:
      return { code: 'forbidden' };
    case 404:
      return { code: 'unconfigured' };
    default:
      return { code: 'unreachable' };
  }
}

export function problemText(problem: Problem): string {
  switch (problem.code) {
    case 'unreachable':
      return t('problem.unreachable', 'Grafana cannot reach the gridtone service. Check that it runs and that the data source has its address.');
    case 'token':
      return t('problem.token', 'The gridtone service refused the token. Set a valid one in the data source.');
    case 'forbidden':
      return t('problem.forbidden', 'You may not use this data source. Ask a Grafana administrator for permission to query it.');
    case 'signed_out':
      return t('problem.signed_out', 'Grafana has signed you out. Sign in again.');
    case 'unconfigured':
      return t('problem.unconfigured', 'There is no gridtone at the address of the data source. Check the address; it has no path after the port.');
    case 'service':
      return problem.hint ? `${problem.message}: ${problem.hint}` : problem.message;
  }
}
