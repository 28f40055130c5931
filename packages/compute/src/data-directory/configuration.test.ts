import { describe, expect, it } from 'vitest';
import { checkSettings, fixedArguments, loopbackOf, pgHbaConf, postgresqlConf, quoteSetting } from './configuration.ts';

const server = (settings: Record<string, string> = {}, host = '127.0.0.1') => ({ host, port: 5555, settings });

describe('configuration of PostgreSQL', () => {
  it('gives what commits rest on as arguments, where ALTER SYSTEM cannot override it', () => {
    const args = fixedArguments(server());
    for (const setting of [
      'fsync=off',
      'full_page_writes=off',
      'synchronous_standby_names=zenith_wal_proposer',
      'max_slot_wal_keep_size=-1',
      'restart_after_crash=off',
      'listen_addresses=127.0.0.1',
      'port=5555',
      'unix_socket_directories=',
    ]) {
      expect(args[args.indexOf(setting) - 1]).toBe('-c');
    }
  });

  it('lets a user override defaults, and quotes what the user gave', () => {
    const conf = postgresqlConf(server({ Wal_Level: 'logical', 'my.setting': "it's \\ here" }));
    expect(conf).toContain("wal_level = 'logical'\n");
    expect(conf).not.toContain("wal_level = 'replica'");
    expect(conf).toContain("effective_io_concurrency = '16'\n");
    expect(postgresqlConf(server({ effective_io_concurrency: '1' }))).toContain("effective_io_concurrency = '1'\n");
    expect(conf).toContain("my.setting = 'it''s \\\\ here'\n");
  });

  it('keeps room for prepared transactions that are open, unless the user says how much', () => {
    expect(postgresqlConf(server(), 12)).toContain("max_prepared_transactions = '12'\n");
    expect(postgresqlConf(server(), 0)).not.toContain('max_prepared_transactions');
    expect(postgresqlConf(server({ max_prepared_transactions: '3' }), 12)).toContain(
      "max_prepared_transactions = '3'\n",
    );
  });

  it.each([
    'fsync',
    'FULL_PAGE_WRITES',
    'synchronous_standby_names',
    'port',
    'listen_addresses',
    'max_slot_wal_keep_size',
    'restart_after_crash',
    'include',
    'data_directory',
  ])('refuses to let a user set %s', (name) => {
    expect(() => checkSettings({ [name]: 'x' })).toThrow(expect.objectContaining({ code: 'reserved-setting' }));
  });

  it.each([
    ['wal_level', 'minimal'],
    ['max_wal_senders', '1'],
    ['max_wal_senders', 'many'],
    ['max_replication_slots', '0'],
  ])('refuses %s = %s', (name, value) => {
    expect(() => checkSettings({ [name]: value })).toThrow(expect.objectContaining({ code: 'reserved-setting' }));
  });

  it.each([
    ["shared_buffers = '1GB'\nfsync", 'x'],
    ['', 'x'],
    ['work_mem', 'a\nfsync = on'],
    ['work_mem', 'x'.repeat(5000)],
  ])('refuses a name or value that could smuggle in another line: %j', (name, value) => {
    expect(() => checkSettings({ [name]: value })).toThrow(expect.objectContaining({ code: 'invalid-config' }));
  });

  it('listens on loopback whatever else it listens on, and asks no password there only', () => {
    expect(fixedArguments(server({}, '192.0.2.7'))).toContain('listen_addresses=192.0.2.7,127.0.0.1');
    expect(fixedArguments(server({}, '0.0.0.0'))).toContain('listen_addresses=0.0.0.0');
    expect(loopbackOf('::')).toBe('::1');
    const trusting = pgHbaConf()
      .split('\n')
      .filter((line) => line.endsWith(' trust'));
    expect(trusting.length).toBeGreaterThan(0);
    for (const line of trusting) expect(line).toMatch(/ (127\.0\.0\.1\/32|::1\/128) trust$/);
    expect(pgHbaConf()).toContain('host all all all scram-sha-256');
  });

  it('quotes as PostgreSQL unquotes', () => {
    expect(quoteSetting("a'b\\c")).toBe("'a''b\\\\c'");
  });
});
