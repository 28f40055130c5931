import { EVERY_MAJOR, temporaryDirectory } from '@zenith/testing';
import { chmodSync, mkdirSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { hydrateSymlinks } from './hydrate-symlinks.ts';
import { findInstallation, installationAt, majorOf, resolveInstallation } from './installation.ts';

describe('finding PostgreSQL', () => {
  const directories: { remove(): void }[] = [];
  afterEach(() => {
    for (const directory of directories.splice(0)) directory.remove();
  });
  const temporary = (): string => {
    const directory = temporaryDirectory();
    directories.push(directory);
    return directory.path;
  };
  const fakeBinDir = (version: string): string => {
    const folder = temporary();
    for (const program of ['postgres', 'initdb']) {
      writeFileSync(join(folder, program), `#!/bin/sh\necho '${version}'\n`);
      chmodSync(join(folder, program), 0o755);
    }
    return folder;
  };

  it.each(EVERY_MAJOR)('finds the PostgreSQL %d that npm installed', (major) => {
    const installation = findInstallation(major);
    expect(installation.major).toBe(major);
    expect(installationAt(installation.binDir).major).toBe(major);
  });

  it('says what to do when there is none', () => {
    expect(() => findInstallation(18, temporary())).toThrow(/npm install.*--pg-bin/);
    expect(() => installationAt(temporary())).toThrow(/no program 'postgres'/);
  });

  it('refuses a version it does not know, and another than the one wanted', () => {
    expect(() => installationAt(fakeBinDir('postgres (PostgreSQL) 12.3'))).toThrow(
      expect.objectContaining({ code: 'postgres-unusable' }),
    );
    expect(() => installationAt(fakeBinDir('something else'))).toThrow(
      expect.objectContaining({ code: 'postgres-unusable' }),
    );
    const seventeen = fakeBinDir('postgres (PostgreSQL) 17.2 (Debian 17.2-1)');
    expect(resolveInstallation(17, seventeen).major).toBe(17);
    expect(() => resolveInstallation(18, seventeen)).toThrow(/holds PostgreSQL 17, but version 18 is needed/);
  });

  it.each([
    ['postgres (PostgreSQL) 18.4', 18],
    ['postgres (PostgreSQL) 17.10 (Debian 17.10-0+deb12u1)', 17],
    ['postgres (PostgreSQL) 19devel', 19],
    ['postgres (PostgreSQL) 18beta1', 18],
    ['psql 18', undefined],
  ])('reads %j as %j', (text, major) => {
    expect(majorOf(text)).toBe(major);
  });

  it('makes the missing symbolic links of a package, once or twice', () => {
    const folder = temporary();
    mkdirSync(join(folder, 'native/lib'), { recursive: true });
    writeFileSync(join(folder, 'native/lib/libx.so.1.2'), 'x');
    writeFileSync(
      join(folder, 'native/pg-symlinks.json'),
      JSON.stringify([{ source: 'native/lib/libx.so.1.2', target: 'native/lib/libx.so.1' }]),
    );
    hydrateSymlinks(folder);
    hydrateSymlinks(folder);
    expect(readlinkSync(join(folder, 'native/lib/libx.so.1'))).toBe('libx.so.1.2');
  });

  it('makes no link outside of the package', () => {
    const folder = temporary();
    mkdirSync(join(folder, 'native'), { recursive: true });
    writeFileSync(
      join(folder, 'native/pg-symlinks.json'),
      JSON.stringify([{ source: 'native/x', target: '../elsewhere' }]),
    );
    expect(() => hydrateSymlinks(folder)).toThrow(/outside of its package/);
  });
});
