import { type GrafanaTheme2, type PanelData, type PanelProps } from '@grafana/data';
import { css } from '@emotion/css';
import { t } from '@grafana/i18n';
import { getDataSourceSrv } from '@grafana/runtime';
import { Alert, useStyles2 } from '@grafana/ui';
import React, { useEffect, useMemo, useSyncExternalStore } from 'react';

import datasource from '../datasource/plugin.json';
import { alarmIn } from './alarms';
import { Controls } from './Controls';
import { FeedbackButtons } from './FeedbackButtons';
import { Notices } from './Notices';
import { type Options } from './options';
import { type Player, playerOf } from './player';
import { StateHeading } from './StateHeading';
import { TrackInfo } from './TrackInfo';

const COMPACT_HEIGHT = 190;
const COMPACT_WIDTH = 240;
/** All of it fits into so many pixels at Grafana's own size of type. In a panel with room to spare everything grows, so that a wall is read from afar. */
const NEEDED_HEIGHT = 270;
const NEEDED_WIDTH = 500;
const TO_SPARE = 0.3;
const WALL_ZOOM = 1.5;

export function GridMusicPanel({ id, data, options, width, height, replaceVariables }: PanelProps<Options>) {
  const uid = replaceVariables(options.datasource);
  const player = useMemo(() => {
    const found = uid ? getDataSourceSrv().getInstanceSettings(uid) : getDataSourceSrv().getList({ pluginId: datasource.id })[0];
    return found?.type === datasource.id && found.url ? playerOf(found.url) : null;
  }, [uid]);
  if (!player) {
    return (
      <Alert severity="info" title={t('panel.no_datasource', 'Add a gridtone data source, then choose it in the options of this panel.')} />
    );
  }
  return <Music id={id} player={player} data={data} options={options} width={width} height={height} />;
}

interface MusicProps {
  id: number;
  player: Player;
  data: PanelData;
  options: Options;
  width: number;
  height: number;
}

function Music({ id, player, data, options, width, height }: MusicProps) {
  const view = useSyncExternalStore(player.subscribe, player.getView);
  const styles = useStyles2(getStyles);
  const compact = height < COMPACT_HEIGHT || width < COMPACT_WIDTH;
  const zoom = Math.max(1, Math.min(height / NEEDED_HEIGHT, width / NEEDED_WIDTH) - TO_SPARE);
  const wall = zoom > WALL_ZOOM;
  const { alertName, alertStates, valuesHush, dwellSeconds, crossfadeSeconds, stayOn, autoplay } = options;
  useEffect(() => player.wish({ alertName, dwellSeconds, crossfadeSeconds, stayOn }), [player, alertName, dwellSeconds, crossfadeSeconds, stayOn]);
  const panel = `${data.request?.dashboardUID ?? ''} ${id}`;
  useEffect(() => player.seePanel(panel, alarmIn(data, alertStates, valuesHush)), [player, panel, data, alertStates, valuesHush]);
  useEffect(() => () => player.panelGone(panel), [player, panel]);
  useEffect(() => {
    if (autoplay) {
      player.play();
    }
  }, [player, autoplay]);
  return (
    <section className={styles.panel} aria-label={t('panel.label', 'Grid music')} style={{ width: width / zoom, height: height / zoom, zoom }}>
      <StateHeading view={view} size={compact ? 'compact' : wall ? 'wall' : 'usual'} />
      <Notices player={player} view={view} compact={compact} />
      {!compact && options.showTrack && (
        <div className={wall ? styles.centred : undefined}>
          <TrackInfo player={player} view={view} />
        </div>
      )}
      <div className={styles.bottom}>
        <Controls player={player} view={view} narrow={width < COMPACT_WIDTH} />
        {!compact && options.showFeedback && view.cue?.track && <FeedbackButtons key={view.cue.track.id} service={player.service} track={view.cue.track} />}
      </div>
    </section>
  );
}

const getStyles = (theme: GrafanaTheme2) => ({
  panel: css({ display: 'flex', flexDirection: 'column', gap: theme.spacing(1), overflow: 'auto' }),
  centred: css({ margin: 'auto 0' }),
  bottom: css({ display: 'flex', flexWrap: 'wrap', alignItems: 'center', gap: theme.spacing(1), marginTop: 'auto' }),
});
