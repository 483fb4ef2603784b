import { PanelPlugin } from '@grafana/data';
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
    .addNumberInput({
      path: 'dwellSeconds',
      name: t('options.dwell', 'Silence after acknowledgement (seconds)'),
      category: alarms,
      defaultValue: DEFAULTS.dwellSeconds,
      settings: { min: 0, max: 3600, integer: true },
      showIf: (options) => options.alertName !== '',
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
