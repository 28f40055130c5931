import { temporaryDirectory } from '@zenith/testing';
import { linkSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readSystemSettings } from './system-settings.ts';

describe('settings made by ALTER SYSTEM', () => {
  let directory: ReturnType<typeof temporaryDirectory>;
  let file: string;
  beforeEach(() => {
    directory = temporaryDirectory();
    file = join(directory.path, 'postgresql.auto.conf');
  });
  afterEach(() => directory.remove());

  it('are taken from a directory that has them', () => {
    expect(readSystemSettings(directory.path)).toBeUndefined();
    writeFileSync(file, "work_mem = '7MB'\n");
    expect(Buffer.from(readSystemSettings(directory.path) ?? []).toString()).toBe("work_mem = '7MB'\n");
  });

  it('are not taken through links, from a folder, or when they are huge', () => {
    const elsewhere = join(directory.path, 'secret');
    writeFileSync(elsewhere, 'secret = 1\n');
    symlinkSync(elsewhere, file);
    expect(readSystemSettings(directory.path)).toBeUndefined();
    rmSync(file);
    linkSync(elsewhere, file);
    expect(readSystemSettings(directory.path)).toBeUndefined();
    rmSync(file);
    mkdirSync(file);
    expect(readSystemSettings(directory.path)).toBeUndefined();
    rmSync(file, { recursive: true });
    renameSync(elsewhere, file);
    expect(readSystemSettings(directory.path)).toBeDefined();
    writeFileSync(file, Buffer.alloc(2 * 1024 * 1024, '#'));
    expect(readSystemSettings(directory.path)).toBeUndefined();
  });
});
