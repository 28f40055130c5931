import { isId } from '@zenith/base';
import { nodeId, parseHistoryTime, PG_MAJORS, parseSettings, type NodeId, type PgMajor } from '@zenith/control-plane';
import { InvalidArgumentError } from 'commander';

/** Reads a TCP port. @throws InvalidArgumentError */
export function portArgument(text: string): number {
  const port = Number(text);
  if (!/^\d{1,5}$/.test(text) || port < 1 || port > 65535)
    throw new InvalidArgumentError('it must be a port, 1 to 65535.');
  return port;
}

/** Reads a number of safekeepers; the control plane knows how many there may be. @throws InvalidArgumentError */
export function countArgument(text: string): number {
  if (!/^\d{1,3}$/.test(text)) throw new InvalidArgumentError('it must be a whole number.');
  return Number(text);
}

const BLOCK_MAX = 0xffff_fffe;

/** Reads a block number. @throws InvalidArgumentError */
export function blockArgument(text: string): number {
  const block = Number(text);
  if (!/^\d{1,10}$/.test(text) || block > BLOCK_MAX) throw new InvalidArgumentError('it must be a block number.');
  return block;
}

const LIMIT_MAX = 1000;

/** Reads how many records are to be shown. @throws InvalidArgumentError */
export function limitArgument(text: string): number {
  const limit = Number(text);
  if (!/^\d{1,4}$/.test(text) || limit < 1 || limit > LIMIT_MAX)
    throw new InvalidArgumentError(`it must be a number from 1 to ${LIMIT_MAX}.`);
  return limit;
}

/** Reads the id of a safekeeper. @throws InvalidArgumentError */
export function safekeeperArgument(text: string): NodeId {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('it must be the number of a safekeeper.');
  return nodeId(Number(text));
}

/** Reads a tenant's or a timeline's id. @throws InvalidArgumentError */
export function idArgument(text: string): string {
  if (!isId(text)) throw new InvalidArgumentError('it must be 32 hexadecimal digits, lower-case.');
  return text;
}

/** Reads how long something is good for: seconds, or `never`. @throws InvalidArgumentError */
export function lifetimeArgument(text: string): number | 'never' {
  if (text === 'never') return text;
  try {
    return parseHistoryTime(text) / 1000;
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

/** Reads a PostgreSQL major version. @throws InvalidArgumentError */
export function pgVersionArgument(text: string): PgMajor {
  const major = PG_MAJORS.find((known) => text === String(known));
  if (major === undefined) throw new InvalidArgumentError(`it must be one of ${PG_MAJORS.join(', ')}.`);
  return major;
}

/** Collects `--set NAME=VALUE`. @throws InvalidArgumentError */
export function settingArgument(text: string, before: Record<string, string>): Record<string, string> {
  try {
    return { ...before, ...parseSettings([text]) };
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}
