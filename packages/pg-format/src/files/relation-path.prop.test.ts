import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { PgMajor } from '../version.ts';
import { parseRelationFileName, parseRelationPath, relationPath } from './relation-path.ts';

const oid = fc.integer({ min: 1, max: 0xffffffff });
const relationFile = fc
  .record({
    spc: fc.oneof(fc.constantFrom(1663, 1664), oid),
    db: oid,
    rel: oid,
    fork: fc.nat(3),
    segment: fc.oneof(fc.constant(0), fc.nat(32766)),
  })
  .map((file) => (file.spc === 1664 ? { ...file, db: 0 } : file));

describe('paths of relations', () => {
  test('are read back as they were made', () => {
    fc.assert(
      fc.property(fc.constantFrom<PgMajor>(15, 16, 17, 18), relationFile, (major, file) => {
        expect(parseRelationPath(major, relationPath(major, file))).toEqual(file);
      }),
    );
  });

  test.each([
    ['base/5/16384', { spc: 1663, db: 5, rel: 16384, fork: 0, segment: 0 }],
    ['base/5/16384_vm.2', { spc: 1663, db: 5, rel: 16384, fork: 2, segment: 2 }],
    ['global/1262_fsm', { spc: 1664, db: 0, rel: 1262, fork: 1, segment: 0 }],
    ['pg_tblspc/16400/PG_18_202506291/5/16384_init', { spc: 16400, db: 5, rel: 16384, fork: 3, segment: 0 }],
  ])('%s', (path, file) => {
    expect(parseRelationPath(18, path)).toEqual(file);
    expect(relationPath(18, file)).toBe(path);
  });

  test.each([
    'base/5/PG_VERSION',
    'base/5/pg_filenode.map',
    'base/5/t3_16384',
    'base/5/16384.0',
    'base/5/016384',
    'base/05/16384',
    'base/5/16384_vmx',
    'base/5/16384.1.2',
    'base/5/16384_',
    'base/16384',
    'global/5/16384',
    'pg_tblspc/16400/PG_17_202406281/5/16384',
    'base/5/99999999999',
    'base/5/0',
    'pg_wal/000000010000000000000001',
    '',
    'base/5/16384.32768',
    '/base/5/16384',
    'base//16384',
  ])('%s is none', (path) => {
    expect(parseRelationPath(18, path)).toBeUndefined();
  });

  test('file names alone', () => {
    expect(parseRelationFileName('16384_vm.1')).toEqual({ rel: 16384, fork: 2, segment: 1 });
    expect(parseRelationFileName('16384_main')).toBeUndefined();
  });
});
