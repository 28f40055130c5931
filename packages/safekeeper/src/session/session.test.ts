import { describe, expect, test } from 'vitest';
import { parseCommand } from './command.ts';
import { parseStartupOptions } from './startup-options.ts';

const tenant = 'a'.repeat(32);
const timeline = 'b'.repeat(32);

function options(
  text: string,
  more: Record<string, string> = { replication: 'true' },
): ReturnType<typeof parseStartupOptions> {
  return parseStartupOptions(new Map(Object.entries({ ...more, options: text })));
}

describe('startup options', () => {
  test('name tenant, timeline and term', () => {
    expect(options(`-c zenith.tenant=${tenant} -c  zenith.timeline=${timeline}`)).toEqual({
      tenant,
      timeline,
      term: null,
      applicationName: '',
    });
    expect(
      options(`-czenith.tenant=${tenant} --zenith.timeline=${timeline} -c zenith.term=7 -c work_mem=1`, {
        replication: 'on',
        application_name: 'x'.repeat(100),
      }),
    ).toEqual({
      tenant,
      timeline,
      term: 7,
      applicationName: 'x'.repeat(63),
    });
  });

  test.each([
    ['', {}, /replication=true/],
    ['', { replication: 'database' }, /physical replication only/],
    ['', { replication: 'true' }, /which timeline/],
    [`-c zenith.tenant=xyz`, { replication: 'true' }, /'xyz' is not a tenant id/],
    [`-c zenith.term=-1`, { replication: 'true' }, /is not a term/],
    [`-c zenith.term=99999999999999999`, { replication: 'true' }, /is not a term/],
    [`-c zenith.tenat=${tenant}`, { replication: 'true' }, /zenith\.tenat is not known/],
  ])('%s %o is refused', (text, more, reason) => {
    expect(() => options(text, more)).toThrow(reason);
  });
});

describe('commands', () => {
  test.each([
    ['IDENTIFY_SYSTEM', { type: 'identifySystem' }],
    ['identify_system;', { type: 'identifySystem' }],
    ['START_WAL_PUSH', { type: 'startWalPush' }],
    ['SHOW wal_segment_size', { type: 'show', setting: 'wal_segment_size' }],
    ['START_REPLICATION PHYSICAL 0/16B3D98', { type: 'startReplication', startLsn: 0x16b3d98 }],
    ['START_REPLICATION 1/0 TIMELINE 1', { type: 'startReplication', startLsn: 0x1_0000_0000 }],
    ['TIMELINE_HISTORY 1', { type: 'timelineHistory', pgTimeline: 1 }],
    ['timeline_history  4294967295;', { type: 'timelineHistory', pgTimeline: 0xffff_ffff }],
  ])('%s', (sql, command) => {
    expect(parseCommand(sql)).toEqual(command);
  });

  test.each([
    ['START_REPLICATION SLOT s PHYSICAL 0/1', '0A000'],
    ['START_REPLICATION PHYSICAL 0/1 TIMELINE 2', '22023'],
    ['START_REPLICATION PHYSICAL FFFFFFFF/0', '22023'],
    ['START_REPLICATION SLOT s LOGICAL 0/1', '42601'],
    ['TIMELINE_HISTORY 0', '42601'],
    ['TIMELINE_HISTORY 4294967296', '42601'],
    ['TIMELINE_HISTORY', '42601'],
    ['TIMELINE_HISTORY -1', '42601'],
    ['SELECT 1', '42601'],
    ['', '42601'],
  ])('%s is refused with %s', (sql, sqlState) => {
    expect(() => parseCommand(sql)).toThrow(expect.objectContaining({ sqlState }));
  });
});
