import { temporaryDirectory } from '@zenith/testing';
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { chooseOsUser, parsePasswd, type OsUser } from './os-user.ts';
import { firstUnreachable, mayEnter } from './reachability.ts';
import { Staging } from './staging.ts';

/** Somebody who owns nothing here. */
const stranger: OsUser = { name: 'stranger', uid: 54_321, gid: 54_321, spawnAs: { uid: 54_321, gid: 54_321 } };

describe('the OS user', () => {
  const directories: { remove(): void }[] = [];
  afterEach(() => {
    for (const directory of directories.splice(0)) directory.remove();
  });
  const temporary = (): string => {
    const directory = temporaryDirectory();
    directories.push(directory);
    return directory.path;
  };

  it('is oneself, or an unprivileged one for root', () => {
    const user = chooseOsUser();
    expect(user.uid).not.toBe(0);
    if (process.getuid?.() !== 0) expect(user).toMatchObject({ uid: process.getuid?.(), spawnAs: {} });
    expect(() => chooseOsUser('no-such-user-here')).toThrow(expect.objectContaining({ code: 'os-user' }));
    expect(() => chooseOsUser('root')).toThrow(expect.objectContaining({ code: 'os-user' }));
  });

  it('is read from the form of /etc/passwd', () => {
    const text =
      'root:x:0:0:root:/root:/bin/bash\npostgres:x:101:104:PostgreSQL,,,:/var/lib/postgresql:/bin/bash\nbroken:x:abc:1::/:\n';
    expect(parsePasswd(text, 'postgres')).toEqual({
      name: 'postgres',
      uid: 101,
      gid: 104,
      spawnAs: { uid: 101, gid: 104 },
    });
    expect(parsePasswd(text, 'post')).toBeUndefined();
    expect(parsePasswd(text, 'broken')).toBeUndefined();
  });

  it('may enter a folder by the one set of mode bits that applies', () => {
    expect(mayEnter({ mode: 0o700, uid: 54_321, gid: 0 }, stranger)).toBe(true);
    expect(mayEnter({ mode: 0o077, uid: 54_321, gid: 54_321 }, stranger)).toBe(false);
    expect(mayEnter({ mode: 0o710, uid: 1, gid: 54_321 }, stranger)).toBe(true);
    expect(mayEnter({ mode: 0o701, uid: 1, gid: 54_321 }, stranger)).toBe(false);
    expect(mayEnter({ mode: 0o711, uid: 1, gid: 1 }, stranger)).toBe(true);
  });

  it('is stopped by the first folder on the way that is closed', () => {
    const open = temporary();
    const closed = join(open, 'closed');
    mkdirSync(join(closed, 'below'), { recursive: true });
    expect(firstUnreachable(join(closed, 'below'), stranger)).toBeUndefined();
    chmodSync(closed, 0o700);
    expect(firstUnreachable(join(closed, 'below'), stranger)).toBe(closed);
    expect(firstUnreachable(join(open, 'not', 'there', 'yet'), stranger)).toBeUndefined();
  });

  it('gets things staged only where it could not get to them', () => {
    const open = temporary();
    const messages: string[] = [];
    const staging = new Staging(stranger, (message) => messages.push(message), join(open, 'stage'));
    const compute = join(open, 'compute');
    expect(staging.directory(compute)).toBe(compute);
    expect(existsSync(compute)).toBe(true);
    expect(messages).toEqual([]);

    const closed = join(open, 'closed');
    mkdirSync(join(closed, 'native/bin'), { recursive: true });
    mkdirSync(join(closed, 'native/lib'));
    writeFileSync(join(closed, 'native/bin/postgres'), 'the binary', { mode: 0o755 });
    writeFileSync(join(closed, 'native/lib/private.so'), 'private', { mode: 0o600 });
    symlinkSync('private.so', join(closed, 'native/lib/link.so'));
    writeFileSync(join(closed, 'preload.so'), 'library');
    chmodSync(closed, 0o700);

    const directory = staging.directory(join(closed, 'compute'));
    expect(directory.startsWith(join(open, 'stage'))).toBe(true);
    expect(firstUnreachable(directory, stranger)).toBeUndefined();
    const installation = { major: 18 as const, binDir: join(closed, 'native/bin'), root: join(closed, 'native') };
    const staged = staging.installation(installation);
    expect(staging.installation(installation)).toEqual(staged);
    expect(firstUnreachable(staged.binDir, stranger)).toBeUndefined();
    expect(readFileSync(join(staged.binDir, 'postgres'), 'utf8')).toBe('the binary');
    expect(statSync(join(staged.binDir, 'postgres')).ino).toBe(statSync(join(closed, 'native/bin/postgres')).ino);
    expect(statSync(join(staged.root ?? '', 'lib/link.so')).mode & 0o004).toBe(0o004);
    const library = staging.library(join(closed, 'preload.so'));
    expect(readFileSync(library, 'utf8')).toBe('library');
    expect(statSync(library).mode & 0o005).toBe(0o005);
    expect(messages.every((message) => message.includes(closed))).toBe(true);
    expect(() => staging.installation({ ...installation, root: undefined })).toThrow(
      expect.objectContaining({ code: 'unreachable-directory' }),
    );
    expect(() => staging.library(join(open, 'missing.so'))).toThrow(
      expect.objectContaining({ code: 'postgres-unusable' }),
    );
  });
});
