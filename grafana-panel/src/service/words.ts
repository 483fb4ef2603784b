import { initPluginTranslations } from '@grafana/i18n';
import { config } from '@grafana/runtime';

import zh from '../locales/zh-Hans.json';
import { type Words } from './types';

/** The texts are in the code, in English; other languages lie beside it and come with it, so that nothing is fetched. */
export function loadWords(pluginId: string): void {
  void initPluginTranslations(pluginId, [async (language) => (language.startsWith('zh') ? zh : {})]);
}

/** The service's own words in the language of this Grafana. */
export function pick(words: Words): string {
  const language = config.bootData?.user?.language ?? 'en';
  return words[language] ?? words[language.split('-')[0]] ?? words.en;
}
