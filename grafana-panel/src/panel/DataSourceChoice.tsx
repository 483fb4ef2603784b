import { type StandardEditorProps } from '@grafana/data';
import { DataSourcePicker } from '@grafana/runtime';
import React from 'react';

import datasource from '../datasource/plugin.json';

export function DataSourceChoice({ value, onChange }: StandardEditorProps<string>) {
  return (
    <DataSourcePicker
      current={value || null}
      filter={(found) => found.type === datasource.id}
      noDefault
      variables
      onChange={({ uid }) => onChange(uid)}
      onClear={() => onChange('')}
    />
  );
}
