import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { everyCommand } from '../../packages/cli/src/command-line/zenith.test-support.ts';
import { Zenith } from '../support/zenith.ts';

let zenith: Zenith;
beforeAll(async () => {
  zenith = await Zenith.init('--safekeepers', '3', '--auth', '--tls');
});
afterAll(() => zenith.destroy());

/** A command line: the words of a command, then what it is given. */
interface Given {
  readonly command: string;
  readonly args?: readonly string[];
}

/** Every command with what it needs to do its work, in an order in which each finds it. */
async function* givenInOrder(): AsyncGenerator<Given> {
  yield { command: 'init', args: ['--dir', join(zenith.directory, 'another')] };
  yield { command: 'start' };
  yield { command: 'pg create', args: ['main'] };
  await zenith.startPostgres('main');
  await zenith.query('main', 'create table t (n int)');
  await zenith.query('main', 'insert into t values (1)');
  yield { command: 'pg start', args: ['main'] };
  yield { command: 'up' };
  yield { command: 'pg list' };
  yield { command: 'psql' };
  yield { command: 'status' };
  yield { command: 'branch', args: ['side'] };
  yield { command: 'branch rename', args: ['side', 'aside'] };
  yield { command: 'branch protect', args: ['aside'] };
  yield { command: 'branch unprotect', args: ['aside'] };
  yield { command: 'branch reset', args: ['aside'] };
  const at = (await zenith.status()).branches.find(({ name }) => name === 'aside')?.startLsn ?? '';
  yield { command: 'branch restore', args: ['aside', '--to', at] };
  yield { command: 'branch delete', args: ['aside', '--if-exists'] };
  yield { command: 'lsn', args: ['main'] };
  yield { command: 'config' };
  yield { command: 'config set', args: ['history', '6d'] };
  yield { command: 'lease', args: ['main', '--name', 'first'] };
  yield { command: 'lease take', args: ['main', '--name', 'second'] };
  yield { command: 'lease list' };
  yield { command: 'lease release', args: ['main', 'first'] };
  yield { command: 'gc' };
  yield { command: 'layers', args: ['main'] };
  yield { command: 'scrub' };
  yield { command: 'export', args: ['main', join(zenith.directory, 'exported')] };
  yield { command: 'page', args: ['main', 't', '0'] };
  yield { command: 'auth token', args: ['--role', 'monitor'] };
  const { keyId } = await zenith.json<{ keyId: string }>('auth', 'rotate');
  yield { command: 'auth keys' };
  yield { command: 'auth rotate' };
  yield { command: 'auth revoke', args: [keyId] };
  yield { command: 'auth certificates' };
  yield { command: 'safekeeper list' };
  yield { command: 'safekeeper add' };
  yield { command: 'safekeeper remove', args: ['4'] };
  yield { command: 'safekeeper replace', args: ['3'] };
  yield { command: 'safekeeper abort' };
  yield { command: 'restart' };
  yield { command: 'pg stop', args: ['main'] };
  yield { command: 'safekeeper restore' };
  yield { command: 'stop' };
}

test(
  'every command that there is prints one JSON document with --json, and nothing else',
  { timeout: 1_200_000 },
  async () => {
    const given = new Set<string>();
    for await (const { command, args = [] } of givenInOrder()) {
      given.add(command);
      const { code, stdout, stderr } = await zenith.try(...command.split(' '), '--json', ...args);
      expect({ command, code, stderr }).toEqual({ command, code: 0, stderr: '' });
      expect({ command, lines: stdout.split('\n').length }).toEqual({ command, lines: 2 });
      expect({ command, kind: typeof JSON.parse(stdout) }).toEqual({ command, kind: 'object' });
    }
    // One that is added to the program is added above as well.
    const all = everyCommand().filter(({ acts }) => acts);
    expect([...given].toSorted()).toEqual(all.map(({ words }) => words.join(' ')).toSorted());
  },
);
