import { type GrafanaTheme2 } from '@grafana/data';
import { css } from '@emotion/css';
import { t } from '@grafana/i18n';
import { useStyles2 } from '@grafana/ui';
import React, { useEffect, useState } from 'react';

import { type Track } from '../service/types';
import { type Player, type View } from './player';

/** What plays, how far it is, and what is next. */
export function TrackInfo({ player, view }: { player: Player; view: View }) {
  const styles = useStyles2(getStyles);
  const now = useNow(player);
  const { cue } = view;
  if (!cue?.track) {
    return null;
  }
  const into = now - cue.time;
  return (
    <dl className={styles.list}>
      <dt>{t('track.now', 'Now')}</dt>
      <dd>
        {cue.track.text}
        <div className={styles.facts}>{facts(cue.track)}</div>
        <progress className={styles.progress} aria-label={t('track.progress', 'Progress of the track')} max={cue.track.seconds} value={Math.max(0, Math.min(into, cue.track.seconds))} />
        <div className={styles.facts}>{where(into, cue.track.seconds, cue.crossfade_seconds, cue.duck_db)}</div>
      </dd>
      <dt>{t('track.next', 'Next')}</dt>
      <dd>{cue.upcoming ? cue.upcoming.text : t('track.open', 'chosen when the time comes')}</dd>
    </dl>
  );
}

function facts(track: Track): string {
  const tempo = track.tempo_bpm ? `${Math.round(track.tempo_bpm)} bpm` : '';
  return [track.key, tempo, track.engine, t('track.licence', 'Licence: {{licence}}', { licence: track.licence })].filter(Boolean).join(' · ');
}

function where(into: number, seconds: number, crossfade: number, duckDb: number): string {
  const place =
    into < 0
      ? t('track.begins', 'begins in {{seconds}} s', { seconds: Math.ceil(-into) })
      : into < crossfade
        ? t('track.crossfading', 'crossfading')
        : `${clockTime(Math.min(into, seconds))} / ${clockTime(seconds)}`;
  return duckDb < 0 ? `${place} · ${t('track.ducked', 'turned down by {{decibels}} dB', { decibels: -duckDb })}` : place;
}

function clockTime(seconds: number): string {
  return `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, '0')}`;
}

function useNow(player: Player): number {
  const [now, setNow] = useState(() => player.clock.now());
  useEffect(() => {
    const timer = setInterval(() => document.hidden || setNow(player.clock.now()), 1000);
    return () => clearInterval(timer);
  }, [player]);
  return now;
}

const getStyles = (theme: GrafanaTheme2) => ({
  list: css({ display: 'grid', gridTemplateColumns: 'max-content 1fr', gap: theme.spacing(0.5, 2), margin: 0, dt: { color: theme.colors.text.secondary }, dd: { margin: 0 } }),
  facts: css({ color: theme.colors.text.secondary, fontSize: theme.typography.bodySmall.fontSize }),
  progress: css({ width: '100%', height: theme.spacing(0.5), display: 'block', marginTop: theme.spacing(0.5), accentColor: theme.colors.primary.main, colorScheme: theme.colors.mode }),
});
