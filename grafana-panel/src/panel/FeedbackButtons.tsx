import { t } from '@grafana/i18n';
import { Button, Input, Stack, Text } from '@grafana/ui';
import React, { type FormEvent, useState } from 'react';

import { problemOf, problemText } from '../service/problem';
import { type Service } from '../service/service';
import { type Track } from '../service/types';

/** Thumbs up, or down with a reason, on one track. */
export function FeedbackButtons({ service, track }: { service: Service; track: Track }) {
  const [asking, setAsking] = useState(false);
  const [reason, setReason] = useState('');
  const [said, setSaid] = useState('');

  const send = async (thumb: 1 | -1) => {
    setAsking(false);
    try {
      await service.sendFeedback(track.id, thumb, thumb < 0 ? reason : '');
      setSaid(t('feedback.thanks', 'Thank you.'));
    } catch (error) {
      setSaid(problemText(problemOf(error)));
    }
  };

  if (asking) {
    const submit = (event: FormEvent) => {
      event.preventDefault();
      void send(-1);
    };
    return (
      <form onSubmit={submit}>
        <Stack direction="row" gap={1}>
          <Input
            width={24}
            autoFocus
            maxLength={500}
            value={reason}
            placeholder={t('feedback.reason', 'What is wrong with it?')}
            aria-label={t('feedback.reason', 'What is wrong with it?')}
            onChange={(event) => setReason(event.currentTarget.value)}
          />
          <Button type="submit" size="sm" variant="secondary">
            {t('feedback.send', 'Send')}
          </Button>
        </Stack>
      </form>
    );
  }
  return (
    <Stack direction="row" gap={1} alignItems="center">
      <span role="status">{said && <Text variant="bodySmall">{said}</Text>}</span>
      <Button size="sm" fill="text" variant="secondary" aria-label={t('feedback.up', 'I like this track')} onClick={() => void send(1)}>
        <Thumb />
      </Button>
      <Button size="sm" fill="text" variant="secondary" aria-label={t('feedback.down', 'I do not like this track')} onClick={() => setAsking(true)}>
        <Thumb down />
      </Button>
    </Stack>
  );
}

/** Grafana's icons have no thumb. */
function Thumb({ down = false }: { down?: boolean }) {
  return (
    <svg viewBox="0 0 24 24" width="18" height="18" fill="none" stroke="currentColor" strokeWidth="2" strokeLinejoin="round" transform={down ? 'scale(1 -1)' : undefined} aria-hidden>
      <path d="M7 11v10H3V11zm0 0 5-9a3 3 0 0 1 3 3v4h5a2 2 0 0 1 2 2.3l-1.3 8a2 2 0 0 1-2 1.7H7" />
    </svg>
  );
}
