// Stands in for Grafana in a browser: its real packages, its way to load a plugin, and none of its server.

import * as emotion from '@emotion/css';
import * as data from '@grafana/data';
import * as runtime from '@grafana/runtime';
import * as ui from '@grafana/ui';
import i18next from 'i18next';
import React from 'react';
import * as ReactDOM from 'react-dom';
import { createRoot, type Root } from 'react-dom/client';
import * as jsx from 'react/jsx-runtime';
import * as rxjs from 'rxjs';

const SHARED: Record<string, unknown> = {
  '@emotion/css': emotion,
  '@grafana/data': data,
  '@grafana/runtime': runtime,
  '@grafana/ui': ui,
  i18next,
  react: React,
  'react-dom': ReactDOM,
  'react/jsx-runtime': jsx,
  rxjs,
};
const HOME = '/public/plugins/gridtone-gridtone-app';
const DATASOURCE = 'gridtone-gridtone-datasource';

async function load<T>(folder: string): Promise<T> {
  const code = await (await fetch(`${HOME}/${folder}/module.js`)).text();
  let module = {} as T;
  const define = (names: string[], make: (...parts: unknown[]) => T) => {
    module = make(...names.map((name) => SHARED[name] ?? failed(`the plugin asks for ${name}, which Grafana does not share`)));
  };
  new Function('define', code)(define);
  return module;
}

function failed(message: string): never {
  throw new Error(message);
}

/** As Grafana's own: parameters in the address, errors as FetchError. */
function backendFetch(request: runtime.BackendSrvRequest): rxjs.Observable<runtime.FetchResponse<unknown>> {
  const asked = async () => {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(request.params ?? {})) {
      for (const one of Array.isArray(value) ? value : [value]) {
        query.append(name, String(one));
      }
    }
    const url = query.size > 0 ? `${request.url}?${query}` : request.url;
    const body = request.data === undefined ? undefined : JSON.stringify(request.data);
    const response = await fetch(url, { method: request.method ?? 'GET', body, headers: body ? { 'Content-Type': 'application/json' } : {} }).catch(() => null);
    if (!response) {
      throw { status: 0, statusText: 'failed', data: {}, config: request };
    }
    const raw = request.responseType === 'arraybuffer' && response.ok ? await response.arrayBuffer() : await response.text();
    const parsed = typeof raw === 'string' ? parse(raw) : raw;
    const answer = { status: response.status, statusText: response.statusText, data: parsed, config: request };
    if (!response.ok) {
      throw answer;
    }
    return { ...answer, ok: true, headers: response.headers, redirected: false, type: response.type, url } as runtime.FetchResponse<unknown>;
  };
  return rxjs.from(asked());
}

function parse(text: string): unknown {
  try {
    return text ? JSON.parse(text) : undefined;
  } catch {
    return text;
  }
}

const settings = (uid: string) => ({
  id: 1,
  uid,
  name: `gridtone ${uid}`,
  type: DATASOURCE,
  access: 'proxy',
  readOnly: false,
  url: `/api/datasources/proxy/uid/${uid}`,
  jsonData: {},
  meta: { id: DATASOURCE, name: 'gridtone', info: { logos: { small: '', large: '' } } },
});
let sources: string[] = ['main'];

runtime.setBackendSrv({ fetch: backendFetch } as never);
runtime.setTemplateSrv({ replace: (text = '') => text, getVariables: () => [], containsTemplate: () => false, updateTimeRange: () => undefined } as never);
runtime.setDataSourceSrv({
  getList: () => sources.map(settings),
  getInstanceSettings: (uid: string) => (sources.includes(uid) ? settings(uid) : undefined),
} as never);
data.standardEditorsRegistry.setInit(() => []);

interface Shown {
  key: string;
  width: number;
  height: number;
  options?: object;
  /** What its own query gave, and the state of the alert rule that is linked to it. */
  values?: number[];
  queryFailed?: boolean;
  alertState?: data.AlertState;
}

function panelData({ values, queryFailed, alertState }: Shown): data.PanelData {
  return {
    series: values ? [data.toDataFrame({ fields: [{ name: 'alarms', type: data.FieldType.number, values }] })] : [],
    state: queryFailed ? data.LoadingState.Error : data.LoadingState.Done,
    alertState: alertState && { id: 1, dashboardUID: 'grid', panelId: 1, state: alertState },
    timeRange: data.getDefaultTimeRange(),
  };
}

let root: Root | null = null;

/** Draw a dashboard with these panels; none is a dashboard without the panel. */
async function show(panels: Shown[], theme: 'dark' | 'light' = 'dark', known: string[] = ['main']): Promise<void> {
  sources = known;
  const { plugin } = await (window.panelModule ??= load<{ plugin: data.PanelPlugin<object> }>('panel'));
  const meta = { id: 'gridtone-music-panel', name: 'Grid music', type: 'panel', info: { version: '0' } } as never;
  const Panel = plugin.panel!;
  const made = data.createTheme({ colors: { mode: theme } });
  document.body.style.background = made.colors.background.canvas;
  document.body.style.color = made.colors.text.primary;
  document.body.style.font = `14px ${made.typography.fontFamily}`;
  root ??= createRoot(document.getElementById('root')!);
  root.render(
    <data.ThemeContext.Provider value={made}>
      <ui.PortalContainer />
      <data.PluginContextProvider meta={meta}>
        {panels.map(({ key, width, height, options, ...given }, number) => (
          <div key={key} id={key} style={{ width, height, margin: 8 }}>
            <ui.PanelChrome title="Grid music" width={width} height={height}>
              {(innerWidth, innerHeight) => (
                <Panel
                  id={number + 1}
                  data={panelData({ key, width, height, ...given })}
                  timeRange={data.getDefaultTimeRange()}
                  timeZone="utc"
                  options={plugin.onPanelMigration!({ options: options ?? {} } as never) as object}
                  fieldConfig={{ defaults: {}, overrides: [] }}
                  transparent={false}
                  width={innerWidth}
                  height={innerHeight}
                  renderCounter={0}
                  title="Grid music"
                  eventBus={new data.EventBusSrv()}
                  replaceVariables={(text: string) => text}
                  onOptionsChange={() => undefined}
                  onFieldConfigChange={() => undefined}
                  onChangeTimeRange={() => undefined}
                />
              )}
            </ui.PanelChrome>
          </div>
        ))}
      </data.PluginContextProvider>
    </data.ThemeContext.Provider>
  );
}

interface SourceModule {
  plugin: data.DataSourcePlugin<never>;
}

/** What the data source answers to a query over the last hours, as plain rows. */
async function query(target: object, hours = 4): Promise<unknown> {
  const source = await openSource();
  const to = data.dateTime();
  const range = { from: data.dateTime(to.valueOf() - hours * 3_600_000), to, raw: { from: 'now', to: 'now' } };
  const { data: frames, errors } = await source.query({ targets: [{ refId: 'A', ...target }], range, scopedVars: {} });
  return {
    errors,
    frames: (frames as data.DataFrame[]).map((frame) => Object.fromEntries(frame.fields.map((field) => [field.name, [...field.values]]))),
  };
}

async function openSource() {
  const { plugin } = await load<SourceModule>('datasource');
  return new (plugin.DataSourceClass as never as new (given: object) => { query(request: object): Promise<data.DataQueryResponse>; testDatasource(): Promise<unknown> })(settings('main'));
}

async function health(): Promise<unknown> {
  return (await openSource()).testDatasource();
}

/** Draw one editor of the data source. */
async function edit(which: 'QueryEditor' | 'ConfigEditor', props: object): Promise<void> {
  const { plugin } = await load<SourceModule>('datasource');
  const Editor = plugin.components[which] as React.ComponentType<object>;
  root ??= createRoot(document.getElementById('root')!);
  const source = await openSource();
  root.render(
    <data.ThemeContext.Provider value={data.createTheme({ colors: { mode: 'dark' } })}>
      <ui.PortalContainer />
      <Editor {...props} {...{ datasource: source }} />
    </data.ThemeContext.Provider>
  );
}

declare global {
  interface Window {
    panelModule?: Promise<{ plugin: data.PanelPlugin<object> }>;
    grafana: object;
  }
}

const language = new URLSearchParams(location.search).get('lang') ?? 'en-US';
await i18next.init({ lng: language, resources: { [language]: { grafana: { home: 'Home' } } }, returnEmptyString: false });
const atOnce = new URLSearchParams(location.search).get('show');
if (atOnce) {
  await show(JSON.parse(atOnce));
}
window.grafana = { show, query, health, edit, versions: { react: React.version } };
