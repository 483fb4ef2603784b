import { type QueryEditorProps } from '@grafana/data';
import { t } from '@grafana/i18n';
import { Combobox, InlineField, MultiCombobox, Stack } from '@grafana/ui';
import React, { useCallback } from 'react';

import { type GridtoneDataSource } from './datasource';
import { type Kind, type Query, type Settings } from './types';

export function QueryEditor({ datasource, query, onChange, onRunQuery }: QueryEditorProps<GridtoneDataSource, Query, Settings>) {
  const signals = useCallback(async () => {
    const found = await datasource.signals().catch(() => []); // an unreachable service shows in the query's own error
    return found.map(({ name, title }) => ({ value: name, label: title, description: name }));
  }, [datasource]);
  const change = (changes: Partial<Query>) => {
    onChange({ ...query, ...changes });
    onRunQuery();
  };
  return (
    <Stack direction="row" wrap="wrap" gap={0}>
      <InlineField label={t('query.show', 'Show')} labelWidth={12}>
        <Combobox id={`kind-${query.refId}`} width={36} options={kinds()} value={query.kind} onChange={({ value }) => change({ kind: value })} />
      </InlineField>
      {query.kind === 'signals' && (
        <InlineField label={t('query.signals', 'Signals')} labelWidth={12}>
          <MultiCombobox
            id={`signals-${query.refId}`}
            width={48}
            createCustomValue
            placeholder={t('query.all_signals', 'All signals')}
            options={signals}
            value={query.signals ?? []}
            onChange={(chosen) => change({ signals: chosen.map(({ value }) => value) })}
          />
        </InlineField>
      )}
    </Stack>
  );
}

function kinds(): Array<{ value: Kind; label: string; description: string }> {
  return [
    { value: 'states', label: t('kind.states', 'States'), description: t('kind.states_help', 'For a state timeline') },
    { value: 'changes', label: t('kind.changes', 'Changes of state'), description: t('kind.changes_help', 'With their reasons; for annotations') },
    { value: 'signals', label: t('kind.signals', 'Signals'), description: t('kind.signals_help', 'What the rules look at; for a time series') },
    { value: 'plays', label: t('kind.plays', 'Plays'), description: t('kind.plays_help', 'Which tracks were played; for a table') },
    { value: 'feedback', label: t('kind.feedback', 'Feedback'), description: t('kind.feedback_help', 'Thumbs and reasons; for a table') },
    { value: 'stock', label: t('kind.stock', 'Stock'), description: t('kind.stock_help', 'Fresh tracks for each state, now; for bars') },
    { value: 'sampler', label: t('kind.sampler', 'Sampler'), description: t('kind.sampler_help', 'Engine and progress, now') },
    { value: 'adapters', label: t('kind.adapters', 'Telemetry sources'), description: t('kind.adapters_help', 'Connected or not, and why, now') },
  ];
}
