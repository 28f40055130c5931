import {
  ControlPlaneError,
  formatHistoryTime,
  issueToken,
  listKeys,
  revokeKey,
  rotateKeys,
  type Role,
} from '@zenith/control-plane';
import { repositoryOf, type CommandContext, type CommandResult } from '../command-context.ts';
import { formatTable } from '../output/table.ts';

/** Whom a token is for. */
export interface TokenOptions {
  readonly role: Role;
  readonly branch?: string | undefined;
  readonly tenant?: string | undefined;
  readonly timeline?: string | undefined;
  /** Unit: seconds. */
  readonly expires: number | 'never';
}

/** `zenith auth token`: prints the token and nothing else. */
export async function authToken(context: CommandContext, options: TokenOptions): CommandResult {
  const repository = repositoryOf(context);
  const { role, branch, expires } = options;
  if (branch !== undefined && (options.tenant !== undefined || options.timeline !== undefined))
    throw new ControlPlaneError('invalid-option', 'a branch says which tenant and timeline: leave these out');
  const timeline = branch === undefined ? options.timeline : (await repository.catalog.branch(branch)).timeline;
  const tenant = options.tenant ?? (timeline === undefined ? undefined : repository.config.tenant);
  const issued = await issueToken(repository, { role, tenant, timeline }, expires === 'never' ? undefined : expires);
  context.output.line(issued.token);
  return {
    token: issued.token,
    keyId: issued.keyId,
    role,
    tenant: tenant ?? null,
    timeline: timeline ?? null,
    expiresAt: issued.expiresAtMs === undefined ? null : new Date(issued.expiresAtMs).toISOString(),
  };
}

/** `zenith auth keys` */
export async function authKeys(context: CommandContext): CommandResult {
  const nowMs = Date.now();
  const keys = listKeys(repositoryOf(context)).map(({ id, signs, createdAtMs }) => ({
    id,
    signs,
    createdAt: new Date(createdAtMs).toISOString(),
    ageSeconds: Math.max(0, Math.floor((nowMs - createdAtMs) / 1000)),
  }));
  const rows = keys.map(({ id, signs, createdAt, ageSeconds }) => [
    id,
    signs ? 'signs' : 'accepted',
    createdAt.slice(0, 19).replace('T', ' '),
    shortAge(ageSeconds),
  ]);
  for (const line of formatTable([['KEY', 'STATUS', 'CREATED (UTC)', 'AGE'], ...rows])) context.output.line(line);
  return { keys };
}

/** An age for a person: whole units of the largest that fits. */
function shortAge(seconds: number): string {
  const unit = [86_400, 3_600, 60, 1].find((size) => seconds >= size) ?? 1;
  return formatHistoryTime((seconds - (seconds % unit)) * 1000);
}

/** `zenith auth rotate` */
export async function authRotate(context: CommandContext): CommandResult {
  const repository = repositoryOf(context);
  const keyId = await rotateKeys(repository);
  context.output.line(`Key ${keyId} signs new tokens, and the services show theirs from now on`);
  const others = listKeys(repository).filter(({ signs }) => !signs);
  if (others.length > 0)
    context.output.line(
      `Accepted still: ${others.map(({ id }) => id).join(', ')}; 'zenith auth revoke KEY' when nobody shows their tokens any more`,
    );
  return { keyId, accepted: others.map(({ id }) => id) };
}

/** `zenith auth revoke` */
export async function authRevoke(context: CommandContext, key: string): CommandResult {
  const keyId = await revokeKey(repositoryOf(context), key);
  context.output.line(`Tokens of key ${keyId} are refused from now on`);
  return { keyId };
}
