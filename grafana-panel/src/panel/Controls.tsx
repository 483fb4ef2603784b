import { type GrafanaTheme2 } from '@grafana/data';
import { css } from '@emotion/css';
import { t } from '@grafana/i18n';
import { usePluginUserStorage } from '@grafana/runtime';
import { Button, Dropdown, IconButton, Menu, Slider, useStyles2 } from '@grafana/ui';
import React, { useEffect, useId, useMemo } from 'react';

import { newestOnly } from './newest';
import { type Player, type View } from './player';

const MUTE_MINUTES = [5, 15, 60, 480];
const KEY = 'volume';

/** Play and pause, volume, and mute for a while. */
export function Controls({ player, view, narrow }: { player: Player; view: View; narrow: boolean }) {
  const styles = useStyles2(getStyles);
  const keep = useKeptVolume(player);
  const volumeId = useId();
  const on = view.sound === 'on';
  const label = on ? t('controls.pause', 'Pause') : t('controls.play', 'Play');
  const muted = view.mutedUntil > 0;
  const menu = (
    <Menu>
      {muted && <Menu.Item label={t('controls.unmute', 'Unmute')} onClick={() => player.muteFor(0)} />}
      {MUTE_MINUTES.map((minutes) => (
        <Menu.Item key={minutes} label={t('controls.mute_for', 'Mute for {{minutes}} min', { minutes })} onClick={() => player.muteFor(minutes)} />
      ))}
    </Menu>
  );
  return (
    <div className={styles.controls}>
      <Button
        icon={on ? 'pause' : 'play'}
        variant={on ? 'secondary' : 'primary'}
        size="sm"
        aria-label={label}
        aria-pressed={on}
        onClick={() => (on ? player.pause() : player.play())}
      >
        {narrow ? undefined : label}
      </Button>
      <Dropdown overlay={menu}>
        <IconButton name={muted ? 'bell-slash' : 'bell'} size="lg" aria-label={t('controls.mute', 'Mute for a while')} />
      </Dropdown>
      <div className={styles.volume}>
        <Slider
          inputId={volumeId}
          min={0}
          max={100}
          showInput={false}
          included
          value={Math.round(view.volume * 100)}
          ariaLabelForHandle={t('controls.volume', 'Volume')}
          onChange={(percent) => player.setVolume(percent / 100)}
          onAfterChange={keep}
        />
      </div>
    </div>
  );
}

/** The volume is the user's own, on every dashboard. Gives a function that keeps it as it stands. */
function useKeptVolume(player: Player): () => void {
  const storage = usePluginUserStorage();
  const keep = useMemo(
    () => newestOnly((volume: number) => storage.setItem(KEY, String(volume))),
    // eslint-disable-next-line react-hooks/exhaustive-deps -- the storage is a new object at every render, all of them the same
    []
  );
  useEffect(() => {
    const { volume } = player.getView();
    // Storage that cannot be read leaves the volume as it is: nothing that a person must be told.
    void storage.getItem(KEY).then(
      (kept) => {
        const untouched = player.getView().volume === volume;
        if (untouched && kept !== null && Number.isFinite(Number(kept))) {
          player.setVolume(Number(kept));
        }
      },
      () => undefined
    );
    // eslint-disable-next-line react-hooks/exhaustive-deps -- as above
  }, [player]);
  // Where Grafana cannot keep it, its own storage class keeps it in this browser.
  return () => void keep(player.getView().volume);
}

const getStyles = (theme: GrafanaTheme2) => ({
  controls: css({ display: 'flex', alignItems: 'center', gap: theme.spacing(1), flex: 1, minWidth: 0 }),
  volume: css({ flex: 1, minWidth: theme.spacing(6), maxWidth: theme.spacing(24), padding: theme.spacing(0, 1) }),
});
