import { AlertState, PanelPlugin } from '@grafana/data';
import { t } from '@grafana/i18n';

import { loadWords } from '../service/words';
import { DataSourceChoice } from './DataSourceChoice';
import { GridMusicPanel } from './GridMusicPanel';
import { DEFAULTS, migrate, type Options } from './options';
import meta from './plugin.json';

loadWords(meta.id);

export const plugin = new PanelPlugin<Options>(GridMusicPanel).setMigrationHandler(migrate).setPanelOptions((builder) => {
  const music = [t('options.music', 'Music')];
  const alarms = [t('options.alarms', 'Alarms')];
  const display = [t('options.display', 'Display')];
  builder
    .addCustomEditor({
      id: 'datasource',
      path: 'datasource',
      name: t('options.datasource', 'Data source'),
      description: t('options.datasource_help', 'The gridtone service that this panel plays.'),
      category: music,
      defaultValue: DEFAULTS.datasource,
      editor: DataSourceChoice,
    })
    .addBooleanSwitch({
      path: 'autoplay',
      name: t('options.autoplay', 'Play without a click'),
      description: t('options.autoplay_help', 'For kiosks, where the browser is started so that it allows sound unasked.'),
      category: music,
      defaultValue: DEFAULTS.autoplay,
    })
    .addBooleanSwitch({
      path: 'stayOn',
      name: t('options.stay_on', 'Play on when you leave the dashboard'),
      category: music,
      defaultValue: DEFAULTS.stayOn,
    })
    .addNumberInput({
      path: 'crossfadeSeconds',
      name: t('options.crossfade', 'Crossfade (seconds)'),
      description: t('options.crossfade_help', '0: as the service says.'),
      category: music,
      defaultValue: DEFAULTS.crossfadeSeconds,
      settings: { min: 0, max: 30, step: 0.5 },
    })
    .addTextInput({
      path: 'alertName',
      name: t('options.alert', 'Grafana alert that hushes the music'),
      description: t('options.alert_help', 'Name of an alert rule. While it fires, or cannot be asked, there is no music.'),
      category: alarms,
      defaultValue: DEFAULTS.alertName,
    })
    .addMultiSelect({
      path: 'alertStates',
      name: t('options.alert_states', "States of this panel's alert that hush the music"),
      description: t('options.alert_states_help', 'Of an alert rule that is linked to this panel; seen when the dashboard refreshes.'),
      category: alarms,
      defaultValue: DEFAULTS.alertStates,
      settings: {
        options: [
          { value: AlertState.Alerting, label: t('options.alerting', 'Firing') },
          { value: AlertState.Pending, label: t('options.pending', 'Pending') },
          { value: AlertState.NoData, label: t('options.no_data', 'No data') },
        ] as never, // the builder has one type for an option and for the choice of several
      },
    })
    .addBooleanSwitch({
      path: 'valuesHush',
      name: t('options.values', 'Values above 0 hush the music'),
      description: t('options.values_help', "The last value of the panel's own query, such as the number of open alarms. A query that fails hushes as well."),
      category: alarms,
      defaultValue: DEFAULTS.valuesHush,
    })
    .addNumberInput({
      path: 'dwellSeconds',
      name: t('options.dwell', 'Silence after acknowledgement (seconds)'),
      category: alarms,
      defaultValue: DEFAULTS.dwellSeconds,
      settings: { min: 0, max: 3600, integer: true },
    })
    .addBooleanSwitch({
      path: 'showTrack',
      name: t('options.show_track', 'What plays and what is next'),
      category: display,
      defaultValue: DEFAULTS.showTrack,
    })
    .addBooleanSwitch({
      path: 'showFeedback',
      name: t('options.show_feedback', 'Thumbs up and down'),
      category: display,
      defaultValue: DEFAULTS.showFeedback,
    });
});
