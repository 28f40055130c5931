/**
 * The environment PostgreSQL's programs run in: nothing of the caller's but PATH, so that PG* variables, locales and time zones of whoever started Zenith do not leak in.
 * @param more variables on top
 */
export function serverEnvironment(more: Readonly<Record<string, string>> = {}): Record<string, string> {
  return { PATH: process.env['PATH'] ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC', ...more };
}
