import { CorruptionError, type Lsn } from '@zenith/base';
import { createControl, nodeId, type AcceptorControl } from '@zenith/consensus';
import { expect, test } from 'vitest';
import { testConfiguration, testIdentity } from '../testing/test-wal.test-support.ts';
import { decodeControlFile, encodeControlFile } from './codec.ts';

const control: AcceptorControl = {
  ...createControl(nodeId(1), testIdentity(0xff_1234_5678 as Lsn), {
    ...testConfiguration(3),
    newMembers: [nodeId(4)],
  }),
  term: 7,
  history: [
    { term: 0, startLsn: 0xff_1234_5678 as Lsn },
    { term: 7, startLsn: 0xff_2234_5678 as Lsn },
  ],
  commitLsn: 0xff_2000_0000 as Lsn,
  pendingTruncationLsn: 0xff_2100_0000 as Lsn,
};

test('a control file gives back what was put in', () => {
  expect(decodeControlFile(encodeControlFile(control), 'file')).toEqual(control);
  expect(
    decodeControlFile(encodeControlFile({ ...control, pendingTruncationLsn: null }), 'file').pendingTruncationLsn,
  ).toBeNull();
});

test('a control file with any bit flipped, or cut anywhere, is damage that names the file', () => {
  const bytes = encodeControlFile(control);
  for (let i = 0; i < bytes.length; i++) {
    const damaged = bytes.slice();
    damaged[i] = (damaged[i] ?? 0) ^ (1 << (i % 8));
    expect(() => decodeControlFile(damaged, 'some/file')).toThrow(CorruptionError);
    expect(() => decodeControlFile(bytes.slice(0, i), 'some/file')).toThrow(/some\/file/);
  }
});
