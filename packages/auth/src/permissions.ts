import { AuthError } from './errors.ts';

/** Who may hold a token. `reader` is for stock tools that follow a branch's WAL, `monitor` for who collects metrics. */
export const ROLES = ['admin', 'compute', 'pageserver', 'safekeeper', 'reader', 'monitor'] as const;

/** One of {@link ROLES}. */
export type Role = (typeof ROLES)[number];

/**
 * What can be asked of a service.
 *
 * - `manage` everything that none of the others covers
 * - `observe` health, metrics, status
 * - `read-pages` the page protocol, and what a compute asks a pageserver when it starts
 * - `read-wal`, `write-wal` from and to a safekeeper; who writes may also read what is not committed yet
 * - `follow-wal` to list a safekeeper's timelines, and to say what a pageserver has made durable, by which WAL is let go
 * - `copy-timeline` what one safekeeper needs of another
 */
export type Action = 'manage' | 'observe' | 'read-pages' | 'read-wal' | 'write-wal' | 'follow-wal' | 'copy-timeline';

const GRANTS: Readonly<Record<Role, readonly Action[]>> = {
  admin: ['manage', 'observe', 'read-pages', 'read-wal', 'write-wal', 'follow-wal', 'copy-timeline'],
  compute: ['read-pages', 'read-wal', 'write-wal'],
  pageserver: ['read-wal', 'follow-wal'],
  safekeeper: ['read-wal', 'copy-timeline'],
  reader: ['read-wal'],
  monitor: ['observe'],
};

/** What a request is about; both left out when it is about the whole service. Ids are lower-case hexadecimal digits. */
export interface Target {
  readonly tenant?: string | undefined;
  readonly timeline?: string | undefined;
}

/** Who a token says its bearer is. A tenant or timeline that is left out is no restriction. */
export interface Identity {
  readonly role: Role;
  readonly tenant?: string | undefined;
  readonly timeline?: string | undefined;
}

/** Who has shown a token, and what that token hangs on. */
export interface Bearer extends Identity {
  /** The key that signed it. */
  readonly keyId: string;
  /** Until when it is good; undefined: until its key is removed. Unit: milliseconds since 1970. */
  readonly expiresAtMs: number | undefined;
}

/** Whether somebody may do something: the role grants the action, and the target lies within the token's scope. What is about the whole service is in no scope but the unrestricted one. */
export function isAllowed(identity: Identity, action: Action, target: Target): boolean {
  return (
    GRANTS[identity.role].includes(action) &&
    (identity.tenant === undefined || identity.tenant === target.tenant) &&
    (identity.timeline === undefined || identity.timeline === target.timeline)
  );
}

/** @throws AuthError `credentials-forbidden` unless {@link isAllowed} */
export function requireAllowed(identity: Identity, action: Action, target: Target): void {
  if (isAllowed(identity, action, target)) return;
  const { role, tenant, timeline } = identity;
  const scope = `${tenant === undefined ? '' : ` for tenant ${tenant}`}${timeline === undefined ? '' : `, timeline ${timeline}`}`;
  throw new AuthError(
    'credentials-forbidden',
    `a token of the role ${role}${scope} is no permission to ${action} here`,
  );
}
