import { DataSourcePlugin } from '@grafana/data';

import { loadWords } from '../service/words';
import { ConfigEditor } from './ConfigEditor';
import { GridtoneDataSource } from './datasource';
import meta from './plugin.json';
import { QueryEditor } from './QueryEditor';
import { type Query, type Secrets, type Settings } from './types';

loadWords(meta.id);

export const plugin = new DataSourcePlugin<GridtoneDataSource, Query, Settings, Secrets>(GridtoneDataSource)
  .setConfigEditor(ConfigEditor)
  .setQueryEditor(QueryEditor);
