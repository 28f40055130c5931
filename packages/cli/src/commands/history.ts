import { formatLsn } from '@zenith/base';
import {
  collectHistory,
  formatHistoryBytes,
  formatHistoryTime,
  keepHistory,
  parseHistoryBytes,
  parseHistoryTime,
  type HistoryPolicy,
} from '@zenith/control-plane';
import { repositoryOf, type CommandContext, type CommandResult } from '../command-context.ts';
import { UsageError } from '../output/failure.ts';
import { formatBytes } from '../output/table.ts';

/** What can be configured, and how it is read. */
const SETTINGS: Readonly<Record<string, (text: string) => Partial<HistoryPolicy>>> = {
  history: (text) => ({ timeMs: parseHistoryTime(text) }),
  'history-bytes': (text) => ({ bytes: parseHistoryBytes(text) }),
};

function settingsOf({ timeMs, bytes }: HistoryPolicy): Readonly<Record<string, string>> {
  return { history: formatHistoryTime(timeMs), 'history-bytes': formatHistoryBytes(bytes) };
}

/** `zenith config` */
export async function configShow(context: CommandContext): CommandResult {
  const settings = settingsOf(await repositoryOf(context).catalog.history());
  for (const [name, value] of Object.entries(settings)) context.output.line(`${name}\t${value}`);
  return { ...settings };
}

/** `zenith config set NAME VALUE` */
export async function configSet(context: CommandContext, name: string, value: string): CommandResult {
  const read = Object.hasOwn(SETTINGS, name) ? SETTINGS[name] : undefined;
  if (read === undefined)
    throw new UsageError(`there is no setting '${name}': there are ${Object.keys(SETTINGS).join(' and ')}`);
  const settings = settingsOf(await keepHistory(repositoryOf(context), read(value)));
  context.output.line(`${name}\t${settings[name] ?? ''}`);
  return { ...settings };
}

/** `zenith gc [BRANCH]` */
export async function gc(context: CommandContext, branch: string | undefined): CommandResult {
  const results = await collectHistory(repositoryOf(context), branch);
  for (const one of results) {
    const kept = one.cutoff === 0 ? 'all history is kept' : `history is kept from ${formatLsn(one.cutoff)} on`;
    const removed =
      one.removedLayers === 0
        ? 'nothing to remove'
        : `${formatBytes(one.removedBytes)} became ${formatBytes(one.addedBytes)}`;
    context.output.line(`${one.branch}: ${kept}, ${removed}`);
  }
  return { branches: results.map((one) => ({ ...one, cutoff: formatLsn(one.cutoff) })) };
}
