import { type DataSourcePluginOptionsEditorProps } from '@grafana/data';
import { t } from '@grafana/i18n';
import { Field, Input, SecretInput, SecretTextArea } from '@grafana/ui';
import React from 'react';

import { type Secrets, type Settings } from './types';

/** Address, token and the site's certificate. Token and certificate stay on Grafana's server. */
export function ConfigEditor({ options, onOptionsChange }: DataSourcePluginOptionsEditorProps<Settings, Secrets>) {
  const { jsonData, secureJsonData, secureJsonFields } = options;
  const isSet = (name: keyof Secrets) => Boolean(secureJsonFields?.[name]);
  const setSecret = (name: keyof Secrets, value: string) =>
    onOptionsChange({ ...options, secureJsonData: { ...secureJsonData, [name]: value }, jsonData: name === 'tlsCACert' ? { ...jsonData, tlsAuthWithCACert: value !== '' } : jsonData });
  const reset = (name: keyof Secrets) =>
    onOptionsChange({ ...options, secureJsonFields: { ...secureJsonFields, [name]: false }, secureJsonData: { ...secureJsonData, [name]: '' } });
  return (
    <>
      <Field
        noMargin
        label={t('config.url', 'Address')}
        description={t('config.url_help', "As Grafana's server reaches the gridtone service, without a path.")}
        required
        invalid={Boolean(jsonData.url) && !/^https?:\/\/[^/]+$/.test(jsonData.url ?? '')}
        error={t('config.url_wrong', 'Write http:// or https://, the host and the port, and no slash at the end.')}
      >
        <Input
          id="gridtone-url"
          width={48}
          placeholder="http://gridtone:8765"
          value={jsonData.url ?? ''}
          onChange={(event) => onOptionsChange({ ...options, jsonData: { ...jsonData, url: event.currentTarget.value.trim() } })}
        />
      </Field>
      <Field noMargin label={t('config.token', 'Token')} description={t('config.token_help', 'Stays on the server; browsers never see it. Not needed where the service listens on loopback only.')}>
        <SecretInput
          id="gridtone-token"
          width={48}
          isConfigured={isSet('token')}
          value={secureJsonData?.token ?? ''}
          onChange={(event) => setSecret('token', event.currentTarget.value)}
          onReset={() => reset('token')}
        />
      </Field>
      <Field noMargin label={t('config.ca', 'CA certificate')} description={t('config.ca_help', "Where the service's certificate is signed by the site's own authority (PEM).")}>
        <SecretTextArea
          id="gridtone-ca"
          cols={48}
          rows={4}
          placeholder="-----BEGIN CERTIFICATE-----"
          isConfigured={isSet('tlsCACert')}
          value={secureJsonData?.tlsCACert ?? ''}
          onChange={(event) => setSecret('tlsCACert', event.currentTarget.value)}
          onReset={() => reset('tlsCACert')}
        />
      </Field>
    </>
  );
}
