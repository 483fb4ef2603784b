import { type GrafanaTheme2 } from '@grafana/data';
import { css } from '@emotion/css';
import { t } from '@grafana/i18n';
import { Button, Icon, useStyles2 } from '@grafana/ui';
import React from 'react';

import { problemText } from '../service/problem';
import { pick } from '../service/words';
import { type Player, type View } from './player';

/** Why there is no music, where there is none, and what to do about it. */
export function Notices({ player, view, compact }: { player: Player; view: View; compact: boolean }) {
  const styles = useStyles2(getStyles);
  const notice = gravest(player, view);
  if (!notice) {
    return null;
  }
  return (
    <div role="status" className={styles.notice} title={notice.text}>
      <Icon name="info-circle" />
      <span className={compact ? styles.oneLine : styles.text}>{notice.text}</span>
      {notice.act && (
        <Button size="sm" variant="secondary" onClick={notice.act}>
          {notice.label}
        </Button>
      )}
    </div>
  );
}

interface Notice {
  text: string;
  label?: string;
  act?: () => void;
}

function gravest(player: Player, view: View): Notice | null {
  if (view.link === 'lost') {
    const silent = t('notice.lost', 'Nothing was heard of the service for 5 seconds: the music is silent until it is back.');
    return { text: view.problem ? `${silent} ${problemText(view.problem)}` : silent };
  }
  if (view.hush === 'alarm') {
    const text = t('notice.alarm', 'Silent: an alarm waits for acknowledgement.');
    return { text, label: t('notice.acknowledge', 'Acknowledge'), act: () => player.acknowledge() };
  }
  if (view.hush === 'unknown') {
    return { text: t('notice.alarms_unknown', 'Silent: the alarm could not be read. Check your permission to read alerts, and the query of this panel.') };
  }
  if (view.hush === 'dwell') {
    return { text: t('notice.dwell', 'The alarm is acknowledged; the music comes back in a moment.') };
  }
  if (view.sound === 'elsewhere') {
    const text = t('notice.elsewhere', 'The music sounds in another panel or tab of this browser.');
    return { text, label: t('notice.here', 'Play here'), act: () => player.play(true) };
  }
  if (view.sound === 'refused') {
    const text = t('notice.refused', 'The browser waits for a click before it plays sound.');
    return { text, label: t('notice.enable', 'Enable sound'), act: () => player.play() };
  }
  if (view.mutedUntil > 0) {
    const time = new Date(view.mutedUntil).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
    return { text: t('notice.muted', 'Muted until {{time}}.', { time }), label: t('notice.unmute', 'Unmute'), act: () => player.muteFor(0) };
  }
  if (view.audioProblem === 'no_audio') {
    return { text: t('notice.no_audio', 'This track cannot be played: the browser knows neither Opus nor FLAC, or the service has lost the audio.') };
  }
  if (view.audioProblem === 'no_network') {
    return { text: t('notice.no_network', 'The track could not be fetched; trying again.') };
  }
  if (view.cue?.action === 'silence') {
    return { text: t('notice.silence', 'Silent: {{reason}}', { reason: pick(view.cue.reason), interpolation: { escapeValue: false } }) };
  }
  return null;
}

const getStyles = (theme: GrafanaTheme2) => ({
  notice: css({ display: 'flex', alignItems: 'center', gap: theme.spacing(1), color: theme.colors.text.secondary }),
  text: css({ flex: 1 }),
  oneLine: css({ flex: 1, overflow: 'hidden', textOverflow: 'ellipsis', whiteSpace: 'nowrap' }),
});
