import { isId } from '@zenith/base';
import { ControlPlaneError } from '../errors.ts';

/** Longest name of a branch or an endpoint. Unit: characters (all of them ASCII). */
export const NAME_LENGTH_MAX = 63;

/** `zenith branch NAME` would be another command. */
const COMMANDS = new Set(['delete', 'rename', 'reset', 'restore', 'protect', 'unprotect']);

const NAME = /^[A-Za-z0-9_][A-Za-z0-9._-]*$/;

/**
 * Checks the name of a branch or of an endpoint, which is also a folder's name: 1 to 63 letters, digits, `.`, `_` and `-`, not beginning with `.` or `-`, and not
 * of the form of a timeline id, which stands for the timeline wherever a branch may be named.
 * @param what "branch" or "endpoint"
 * @throws ControlPlaneError `invalid-name`
 */
export function checkName(what: 'branch' | 'endpoint', name: string): void {
  const shown = JSON.stringify(name.length > 80 ? `${name.slice(0, 80)}…` : name);
  if (name === '' || name.length > NAME_LENGTH_MAX || !NAME.test(name)) {
    throw new ControlPlaneError(
      'invalid-name',
      `${shown} cannot name a ${what}: use 1 to ${NAME_LENGTH_MAX} letters, digits, '.', '_' and '-', beginning with a letter, a digit or '_'`,
    );
  }
  if (isId(name.toLowerCase()))
    throw new ControlPlaneError('invalid-name', `${shown} cannot name a ${what}: it has the form of a timeline id`);
}

/** Checks the name of a branch to be: as {@link checkName}, and not a word that `zenith branch` takes for a command. @throws ControlPlaneError `invalid-name` */
export function checkNewBranchName(name: string): void {
  checkName('branch', name);
  if (COMMANDS.has(name))
    throw new ControlPlaneError('invalid-name', `"${name}" cannot name a branch: 'zenith branch ${name}' is a command`);
}
