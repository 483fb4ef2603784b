import {
  CustomVariableSupport,
  type DataFrame,
  type DataQueryRequest,
  type DataQueryResponse,
  DataSourceApi,
  type DataSourceInstanceSettings,
  FieldType,
  createDataFrame,
} from '@grafana/data';
import { t } from '@grafana/i18n';
import { getTemplateSrv } from '@grafana/runtime';
import { from, type Observable } from 'rxjs';

import { problemOf, problemText } from '../service/problem';
import { Service } from '../service/service';
import { type Adapter, type Feedback, type Play, type Sampler, type SignalTrend, type StateSpan, type StateView } from '../service/types';
import { pick } from '../service/words';
import { adaptersFrame, changesFrame, feedbackFrame, playsFrame, samplerFrame, signalFrames, statesFrame, stockFrame } from './frames';
import { QueryEditor } from './QueryEditor';
import { DEFAULT_QUERY, type Query, type Settings, type VariableQuery } from './types';
import { VariableEditor } from './VariableEditor';

const MOST_HOURS = 744;

export class GridtoneDataSource extends DataSourceApi<Query, Settings> {
  readonly service: Service;

  constructor(settings: DataSourceInstanceSettings<Settings>) {
    super(settings);
    this.service = new Service(settings.url ?? '');
    this.variables = new Variables(this);
    this.annotations = { QueryEditor, getDefaultQuery: () => ({ kind: 'changes' }) };
  }

  getDefaultQuery(): Partial<Query> {
    return DEFAULT_QUERY;
  }

  filterQuery(query: Query): boolean {
    return !query.hide;
  }

  async query(request: DataQueryRequest<Query>): Promise<DataQueryResponse> {
    const answers = await Promise.allSettled(request.targets.map((query) => this.framesOf(query, request)));
    const data = answers.flatMap((answer, i) =>
      answer.status === 'fulfilled' ? answer.value.map((frame) => ({ ...frame, refId: request.targets[i].refId })) : []
    );
    const errors = answers.flatMap((answer, i) =>
      answer.status === 'rejected' ? [{ refId: request.targets[i].refId, message: problemText(problemOf(answer.reason)) }] : []
    );
    return { data, errors: errors.length > 0 ? errors : undefined };
  }

  private async framesOf(query: Query, { range, scopedVars }: DataQueryRequest<Query>): Promise<DataFrame[]> {
    const [start, end] = [range.from.valueOf(), range.to.valueOf()];
    const hours = Math.min(MOST_HOURS, Math.max(0.01, (Date.now() - start) / 3_600_000));
    const isInside = ({ time }: { time: number }) => time * 1000 >= start && time * 1000 <= end;
    switch (query.kind) {
      case 'states':
      case 'changes': {
        const [{ spans }, { states }] = await Promise.all([this.service.get<{ spans: StateSpan[] }>('history', { hours }), this.states()]);
        const inside = spans.filter((span) => span.start * 1000 <= end && (span.end === null || span.end * 1000 >= start));
        return [query.kind === 'states' ? statesFrame(inside, states, start, end) : changesFrame(inside, states)];
      }
      case 'signals': {
        const signal = (query.signals ?? []).flatMap((name) => getTemplateSrv().replace(name, scopedVars, 'csv').split(',')).filter(Boolean);
        const { signals } = await this.service.get<{ signals: SignalTrend[] }>('signals', { hours, signal });
        return signalFrames(signals, start, end);
      }
      case 'plays':
        return [playsFrame((await this.service.get<{ plays: Play[] }>('plays', { hours })).plays.filter(isInside).reverse())];
      case 'feedback':
        return [feedbackFrame((await this.service.get<{ feedback: Feedback[] }>('feedback', { hours })).feedback.filter(isInside).reverse())];
      case 'stock':
        return [stockFrame((await this.states()).states)];
      case 'sampler':
        return [samplerFrame(await this.service.get<Sampler>('sampler'))];
      case 'adapters':
        return [adaptersFrame((await this.service.get<{ adapters: Adapter[] }>('adapters')).adapters)];
    }
  }

  states(): Promise<{ states: StateView[]; rules_problem: string }> {
    return this.service.get('states');
  }

  /** Name and title of every signal of the rules. */
  async signals(): Promise<Array<{ name: string; title: string }>> {
    const { signals } = await this.service.get<{ signals: SignalTrend[] }>('signals', { hours: 0.01 });
    return signals.map(({ name, title }) => ({ name, title: pick(title) }));
  }

  async testDatasource(): Promise<{ status: 'success' | 'error'; message: string }> {
    try {
      const { states, rules_problem: rulesProblem } = await this.states();
      const tracks = states.reduce((sum, state) => sum + state.fresh, 0);
      if (rulesProblem) {
        return { status: 'error', message: t('health.rules', 'Connected, but the newest rules are not in use: {{problem}}', { problem: rulesProblem, interpolation: { escapeValue: false } }) };
      }
      if (tracks === 0) {
        return { status: 'error', message: t('health.no_tracks', 'Connected, but no track is ready yet. The sampler is making the first ones; see the query "Sampler".') };
      }
      return { status: 'success', message: t('health.fine', 'Connected: {{states}} states, {{tracks}} fresh tracks.', { states: states.length, tracks }) };
    } catch (error) {
      return { status: 'error', message: problemText(problemOf(error)) };
    }
  }
}

class Variables extends CustomVariableSupport<GridtoneDataSource, VariableQuery> {
  editor = VariableEditor;

  constructor(private readonly datasource: GridtoneDataSource) {
    super();
  }

  query({ targets }: DataQueryRequest<VariableQuery>): Observable<DataQueryResponse> {
    return from(this.choices(targets[0]));
  }

  private async choices({ kind }: VariableQuery): Promise<DataQueryResponse> {
    const found =
      kind === 'signals'
        ? await this.datasource.signals()
        : (await this.datasource.states()).states.map(({ name, title }) => ({ name, title: pick(title) }));
    const frame = createDataFrame({
      fields: [
        { name: 'text', type: FieldType.string, values: found.map(({ title }) => title) },
        { name: 'value', type: FieldType.string, values: found.map(({ name }) => name) },
      ],
    });
    return { data: [frame] };
  }
}
