import { t } from '@grafana/i18n';
import { Button, IconButton, Input, Stack, Text } from '@grafana/ui';
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
      <IconButton name="thumbs-up" size="lg" aria-label={t('feedback.up', 'I like this track')} onClick={() => void send(1)} />
      <IconButton name="thumbs-down" size="lg" aria-label={t('feedback.down', 'I do not like this track')} onClick={() => setAsking(true)} />
    </Stack>
  );
}
