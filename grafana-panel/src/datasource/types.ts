import { type DataQuery } from '@grafana/schema';
import { type DataSourceJsonData } from '@grafana/data';

export const KINDS = ['states', 'changes', 'signals', 'plays', 'feedback', 'stock', 'sampler', 'adapters'] as const;
export type Kind = (typeof KINDS)[number];

export interface Query extends DataQuery {
  kind: Kind;
  /** Only these signals; all where there are none. Only for `signals`. */
  signals?: string[];
}

export interface VariableQuery {
  kind: 'states' | 'signals';
  refId: string;
}

export interface Settings extends DataSourceJsonData {
  /** Address of the service as Grafana's server reaches it. */
  url?: string;
  tlsAuthWithCACert?: boolean;
}

export interface Secrets {
  token?: string;
  tlsCACert?: string;
}

export const DEFAULT_QUERY: Omit<Query, 'refId'> = { kind: 'states' };
