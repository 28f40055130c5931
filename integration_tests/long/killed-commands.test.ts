import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Random } from '../../packages/consensus/src/simulation/random.test-support.ts';
import { killedAfter, momentsOf } from '../killed-commands/killed-command.ts';
import { Zenith, type CommandOutput } from '../support/zenith.ts';

/** How many moments of each command are tried; `ZENITH_KILL_MOMENTS=1000` tries them all. */
const MOMENTS_MAX = Number(process.env['ZENITH_KILL_MOMENTS'] ?? 5);
/** Of which ones they are; `ZENITH_KILL_SEED=…` tries others. */
const SEED = Number(process.env['ZENITH_KILL_SEED'] ?? 1);
const TIMEOUT_MS = 1_800_000;

let zenith: Zenith;
const random = new Random(SEED);
beforeAll(async () => {
  zenith = await Zenith.init('--safekeepers', '3');
});
afterAll(() => zenith.destroy());

/** What is given again after a kill, and the answers that say what stands: the command had done its work before it was killed. */
interface Expectation {
  readonly args: readonly string[];
  readonly stands: RegExp;
}

/** Kills a command at moments of its life; `afterwards` sees to it that the next time it has the same work to do. */
async function killAtMoments(
  args: readonly string[],
  afterwards: (moment: string, round: number) => Promise<void>,
): Promise<void> {
  const { effects, code } = await killedAfter(undefined, zenith.directory, args);
  expect(code).toBe(0);
  await afterwards('its end', 0);
  let killed = 0;
  const moments = momentsOf(effects, MOMENTS_MAX, random);
  for (const [index, n] of moments.entries()) {
    const run = await killedAfter(n, zenith.directory, args);
    if (run.wasKilled) killed++;
    await afterwards(`effect ${n}, ${run.effects.at(-1)}`, index);
  }
  // Not each run does all that the first one did; the kill may then come too late.
  expect(killed).toBeGreaterThanOrEqual(moments.length / 2);
}

/** Gives the command again: it does its work, or says that it is done. */
async function again(moment: string, { args, stands }: Expectation): Promise<CommandOutput> {
  const output = await zenith.try(...args);
  if (output.code !== 0)
    expect({ moment, ...output }).toMatchObject({ moment, code: 1, stderr: expect.stringMatching(stands) });
  return output;
}

/** Stops everything, after which nothing is left. */
async function stopAll(moment: string): Promise<void> {
  await zenith.run('stop');
  expect({ moment, left: zenith.processes() }).toEqual({ moment, left: [] });
  const { nodes, endpoints } = await zenith.status();
  const running = [...nodes, ...endpoints].filter(({ status }) => status !== 'stopped' && status !== 'crashed');
  expect({ moment, running }).toEqual({ moment, running: [] });
}

async function expectAllRunning(moment: string): Promise<void> {
  const { nodes } = await zenith.status();
  expect({ moment, states: nodes.map(({ status }) => status) }).toEqual({ moment, states: nodes.map(() => 'running') });
}

/** Nothing is left of any compute: no folder, no process. */
function expectNoComputes(moment: string): void {
  const computes = join(zenith.repository, 'computes');
  expect({
    moment,
    folders: existsSync(computes) ? readdirSync(computes) : [],
    left: zenith.processes().filter(({ commandLine }) => commandLine.includes(computes)),
  }).toEqual({ moment, folders: [], left: [] });
}

/** Timelines on the pageserver that no branch names. */
async function unnamedTimelines(): Promise<string[]> {
  const { tenant, pageserverHttpPort } = await zenith.branch('main');
  const response = await fetch(`http://127.0.0.1:${pageserverHttpPort}/v1/tenant/${tenant}/timeline`);
  const stored = ((await response.json()) as { timeline: string }[]).map(({ timeline }) => timeline);
  const { branches } = await zenith.status();
  return stored.filter((timeline) => branches.every((branch) => branch.timeline !== timeline));
}

describe('a command that is killed with SIGKILL between any two of its effects does not stand in the way of the next', () => {
  test('init', { timeout: TIMEOUT_MS }, async () => {
    let folder = '';
    const place = (name: string): readonly string[] => {
      folder = join(zenith.directory, name);
      mkdirSync(folder);
      return ['init', '--dir', folder];
    };
    const { effects } = await killedAfter(undefined, zenith.directory, place('init-whole'));
    expect(readdirSync(folder)).toEqual(['.zenith']);
    for (const n of momentsOf(effects, MOMENTS_MAX, random)) {
      const args = place(`init-${n}`);
      const run = await killedAfter(n, folder, args);
      const moment = `effect ${n}, ${run.effects.at(-1)}`;
      const given = await killedAfter(undefined, folder, args);
      if (given.code !== 0)
        expect({ moment, ...(await zenith.try(...args)) }).toMatchObject({
          moment,
          code: 1,
          stderr: expect.stringContaining('exists already: use it, or remove it'),
        });
      expect({ moment, files: readdirSync(folder) }).toEqual({ moment, files: ['.zenith'] });
      expect((await zenith.json<{ branches: unknown[] }>('status', '--dir', folder)).branches).toHaveLength(1);
    }
  });

  test('start', { timeout: TIMEOUT_MS }, async () => {
    await killAtMoments(['start'], async (moment, round) => {
      expect((await zenith.status()).nodes).toHaveLength(4);
      if (round % 2 === 0) {
        await zenith.run('start');
        await expectAllRunning(moment);
      }
      await stopAll(moment);
    });
  });

  test('pg start', { timeout: TIMEOUT_MS }, async () => {
    await zenith.run('start');
    await killAtMoments(['pg', 'start', 'main'], async (moment, round) => {
      await zenith.status();
      if (round % 2 === 0) {
        const output = await again(moment, {
          args: ['pg', 'start', 'main'],
          stands: /has a compute that is starting.*: stop it first with 'zenith pg stop main'/,
        });
        if (output.code !== 0) await zenith.run('pg', 'stop', 'main');
        await zenith.startPostgres('main');
        expect(await zenith.query('main', 'select 1 as one')).toEqual([{ one: 1 }]);
      }
      await stopAll(moment);
      await zenith.run('start');
      await again(moment, { args: ['pg', 'stop', 'main', '--destroy'], stands: /no endpoint 'main'/ });
    });
  });

  test('pg create', { timeout: TIMEOUT_MS }, async () => {
    await zenith.run('start');
    await killAtMoments(['pg', 'create', 'main'], async (moment) => {
      await again(moment, { args: ['pg', 'create', 'main'], stands: /an endpoint 'main' exists already/ });
      expect((await zenith.status()).endpoints.map(({ name, status }) => [name, status])).toEqual([
        ['main', 'stopped'],
      ]);
      await zenith.run('pg', 'stop', 'main', '--destroy');
    });
  });

  test('branch NAME', { timeout: TIMEOUT_MS }, async () => {
    await zenith.run('start');
    await killAtMoments(['branch', 'side'], async (moment) => {
      await zenith.status();
      await again(moment, { args: ['branch', 'side'], stands: /a branch 'side' exists already/ });
      await zenith.run('start'); // what was left is removed
      expect({ moment, unnamed: await unnamedTimelines() }).toEqual({ moment, unnamed: [] });
      await zenith.run('branch', 'delete', 'side');
    });
  });

  test('pg stop --destroy', { timeout: TIMEOUT_MS }, async () => {
    await zenith.run('start');
    await zenith.startPostgres('main');
    await killAtMoments(['pg', 'stop', 'main', '--destroy'], async (moment) => {
      await zenith.status();
      await again(moment, { args: ['pg', 'stop', 'main', '--destroy'], stands: /no endpoint 'main'/ });
      expect({ moment, endpoints: (await zenith.status()).endpoints }).toEqual({ moment, endpoints: [] });
      expectNoComputes(moment);
      await zenith.startPostgres('main');
    });
  });

  test('branch delete', { timeout: TIMEOUT_MS }, async () => {
    await zenith.run('start');
    await zenith.run('pg', 'stop', 'main', '--destroy');
    const makeBranch = async (): Promise<void> => {
      await zenith.run('branch', 'side');
      await zenith.startPostgres('side');
      await zenith.run('pg', 'stop', 'side');
    };
    await makeBranch();
    await killAtMoments(['branch', 'delete', 'side'], async (moment) => {
      await zenith.status();
      await again(moment, { args: ['branch', 'delete', 'side'], stands: /no branch 'side'/ });
      await zenith.run('start'); // what was left is removed
      expect({ moment, unnamed: await unnamedTimelines() }).toEqual({ moment, unnamed: [] });
      expectNoComputes(moment);
      await makeBranch();
    });
    await zenith.run('branch', 'delete', 'side');
  });

  test('branch rename', { timeout: TIMEOUT_MS }, async () => {
    await zenith.run('branch', 'side');
    await zenith.startPostgres('side');
    await zenith.run('pg', 'stop', 'side');
    await killAtMoments(['branch', 'rename', 'side', 'aside'], async (moment) => {
      await zenith.status();
      await again(moment, { args: ['branch', 'rename', 'side', 'aside'], stands: /no branch 'side'/ });
      expectNoComputes(moment);
      const { branches, endpoints } = await zenith.status();
      expect({
        moment,
        branches: branches.map(({ name }) => name).toSorted(),
        endpoints: endpoints.map(({ name }) => name),
      }).toEqual({
        moment,
        branches: ['aside', 'main'],
        endpoints: ['aside'],
      });
      await zenith.run('branch', 'rename', 'aside', 'side');
      await zenith.startPostgres('side');
      await zenith.run('pg', 'stop', 'side');
    });
    await zenith.run('branch', 'delete', 'side');
  });

  test('stop', { timeout: TIMEOUT_MS }, async () => {
    await zenith.run('start');
    await zenith.startPostgres('main');
    await killAtMoments(['stop'], async (moment) => {
      await zenith.status();
      await stopAll(moment);
      await zenith.run('start');
      await zenith.startPostgres('main');
      expect(await zenith.query('main', 'select 1 as one')).toEqual([{ one: 1 }]);
    });
  });
});
