import { type QueryEditorProps } from '@grafana/data';
import { t } from '@grafana/i18n';
import { Combobox, InlineField } from '@grafana/ui';
import React from 'react';

import { type GridtoneDataSource } from './datasource';
import { type Query, type Settings, type VariableQuery } from './types';

export function VariableEditor({ query, onChange }: QueryEditorProps<GridtoneDataSource, Query, Settings, VariableQuery>) {
  const options: Array<{ value: VariableQuery['kind']; label: string }> = [
    { value: 'states', label: t('variable.states', 'The states of the rules') },
    { value: 'signals', label: t('variable.signals', 'The signals of the rules') },
  ];
  return (
    <InlineField label={t('variable.values', 'Values')} labelWidth={12}>
      <Combobox
        id="gridtone-variable"
        width={36}
        options={options}
        value={query.kind ?? 'states'}
        onChange={({ value }) => onChange({ refId: 'variable', kind: value })}
      />
    </InlineField>
  );
}
