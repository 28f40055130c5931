import { describe, expect, it } from 'vitest';
import { parseComputeConfig, type ComputeConfigInput } from './config.ts';

const valid: ComputeConfigInput = {
  tenant: '0123456789abcdef0123456789abcdef',
  timeline: 'fedcba9876543210fedcba9876543210',
  branch: 'main',
  endpoint: 'main',
  systemId: '7512345678901234567',
  startLsn: '0/1505E90',
  safekeepers: [{ id: 1, host: '127.0.0.1', port: 64101 }],
  pageserver: { host: '127.0.0.1', port: 64000, httpPort: 9898 },
  postgres: { major: 18, port: 55432, user: 'postgres' },
  http: {},
};

describe('compute.json', () => {
  it('is read with its defaults', () => {
    expect(parseComputeConfig(valid, 'x')).toMatchObject({
      startLsn: 0x1505e90,
      configuration: { generation: 1, members: [1], newMembers: null },
      ancestors: [],
      postgres: { host: '127.0.0.1', settings: {} },
      http: { host: '127.0.0.1', port: 0 },
      timeouts: { electionMs: 30_000 },
    });
  });

  it.each<[string, object]>([
    ['an unknown key', { ...valid, surprise: 1 }],
    ['an unknown key inside', { ...valid, postgres: { ...valid.postgres, surprise: 1 } }],
    ['a bad id', { ...valid, tenant: 'x' }],
    ['a bad LSN', { ...valid, startLsn: '12' }],
    ['no safekeeper', { ...valid, safekeepers: [] }],
    ['one safekeeper twice', { ...valid, safekeepers: [...valid.safekeepers, ...valid.safekeepers] }],
    [
      'a member whose address is missing',
      { ...valid, configuration: { generation: 2, members: [1], newMembers: [1, 2] } },
    ],
    ['a configuration without members', { ...valid, configuration: { generation: 2, members: [], newMembers: null } }],
    ['a major version it does not know', { ...valid, postgres: { ...valid.postgres, major: 14 } }],
    ['a port that is none', { ...valid, postgres: { ...valid.postgres, port: 0 } }],
    [
      'an ancestor that begins after its descendant',
      { ...valid, ancestors: [{ timeline: valid.tenant, startLsn: '0/2000000' }] },
    ],
  ])('is refused with %s, naming the file', (_what, value) => {
    expect(() => parseComputeConfig(value, 'dir/compute.json')).toThrow(
      expect.objectContaining({
        code: 'invalid-config',
        message: expect.stringContaining('dir/compute.json') as string,
      }),
    );
  });

  it('is refused with a setting the compute needs for itself', () => {
    expect(() =>
      parseComputeConfig({ ...valid, postgres: { ...valid.postgres, settings: { fsync: 'on' } } }, 'x'),
    ).toThrow(expect.objectContaining({ code: 'reserved-setting' }));
  });
});
