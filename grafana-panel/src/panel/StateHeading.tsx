import { type GrafanaTheme2 } from '@grafana/data';
import { css } from '@emotion/css';
import { t } from '@grafana/i18n';
import { Icon, type IconName, Text, Tooltip, useStyles2 } from '@grafana/ui';
import React from 'react';

import { type Severity } from '../service/types';
import { pick } from '../service/words';
import { type View } from './player';

/** Each severity has a colour and a shape: never a colour alone. */
const ICONS: Record<Severity, IconName> = {
  normal: 'check-circle',
  restorative: 'sync',
  alert: 'exclamation-triangle',
  emergency: 'exclamation-circle',
  in_extremis: 'times-circle',
  unknown: 'question-circle',
};

const SIZES = {
  compact: { icon: 'lg', heading: 'h5', words: undefined },
  usual: { icon: 'xxl', heading: 'h3', words: undefined },
  wall: { icon: 'xxxl', heading: 'h1', words: 'h4' },
} as const;

export function StateHeading({ view, size }: { view: View; size: keyof typeof SIZES }) {
  const styles = useStyles2(getStyles);
  const { icon, heading, words } = SIZES[size];
  const { standing, link } = view;
  const severity = standing && link !== 'lost' ? standing.severity : 'unknown';
  const title = standing ? pick(standing.title) : t('panel.connecting', 'Connecting …');
  const reason = standing ? pick(standing.reason) : '';
  return (
    <div className={styles.heading}>
      {/* All are there from the beginning: one that had to be fetched would show the shape before it for a while. */}
      {Object.entries(ICONS).map(([one, name]) => (
        <span key={one} hidden={one !== severity}>
          <Icon name={name} size={icon} className={styles[severity]} />
        </span>
      ))}
      <div className={styles.words} aria-live="polite">
        <Text element="h3" variant={heading} truncate>
          {title}
        </Text>
        {size !== 'compact' && (
          <Text color="secondary" variant={words}>
            {reason}
          </Text>
        )}
      </div>
      <LinkSign view={view} />
    </div>
  );
}

function LinkSign({ view }: { view: View }) {
  const styles = useStyles2(getStyles);
  const text = {
    connecting: t('link.connecting', 'Connecting to the service'),
    live: t('link.live', 'The service is heard'),
    polling: t('link.polling', 'The service is asked every second: events do not come through'),
    lost: t('link.lost', 'The service is not heard'),
  }[view.link];
  return (
    <Tooltip content={text}>
      <span tabIndex={0} role="img" aria-label={text} className={styles.link} data-link={view.link}>
        <Icon name={view.link === 'lost' ? 'heart-break' : 'heart'} className={view.link === 'lost' ? styles.emergency : styles.restorative} />
      </span>
    </Tooltip>
  );
}

const getStyles = (theme: GrafanaTheme2) => ({
  heading: css({ display: 'flex', alignItems: 'center', gap: theme.spacing(1) }),
  words: css({ flex: 1, minWidth: 0 }),
  link: css({ marginLeft: 'auto' }),
  normal: css({ color: theme.colors.success.text }),
  restorative: css({ color: theme.colors.info.text }),
  alert: css({ color: theme.colors.warning.text }),
  emergency: css({ color: theme.colors.error.text }),
  in_extremis: css({ color: theme.colors.error.text }),
  unknown: css({ color: theme.colors.text.secondary }),
});
