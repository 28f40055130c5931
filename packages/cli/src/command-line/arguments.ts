import { parseSettings } from '@zenith/control-plane';
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

/** Reads a PostgreSQL major version. @throws InvalidArgumentError */
export function pgVersionArgument(text: string): 17 | 18 {
  if (text === '17') return 17;
  if (text === '18') return 18;
  throw new InvalidArgumentError('it must be 17 or 18.');
}

/** Collects `--set NAME=VALUE`. @throws InvalidArgumentError */
export function settingArgument(text: string, before: Record<string, string>): Record<string, string> {
  try {
    return { ...before, ...parseSettings([text]) };
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}
