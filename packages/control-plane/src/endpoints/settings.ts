import { ZenithError } from '@zenith/base';
import { ControlPlaneError } from '../errors.ts';

/** Most settings one endpoint may have. */
const SETTINGS_MAX = 500;

/** Reads `name=value` arguments. A later one of the same name wins. @throws ControlPlaneError `invalid-setting` */
export function parseSettings(args: readonly string[]): Record<string, string> {
  const settings: [string, string][] = [];
  for (const arg of args) {
    const at = arg.indexOf('=');
    if (at <= 0)
      throw new ControlPlaneError(
        'invalid-setting',
        `'${arg}' is no setting: write NAME=VALUE, for instance work_mem=64MB`,
      );
    settings.push([arg.slice(0, at).trim().toLowerCase(), arg.slice(at + 1)]);
  }
  return Object.fromEntries(settings);
}

/** Checks settings as the compute will. @throws ControlPlaneError `invalid-setting` */
export async function checkEndpointSettings(settings: Readonly<Record<string, string>>): Promise<void> {
  const count = Object.keys(settings).length;
  if (count === 0) return;
  if (count > SETTINGS_MAX)
    throw new ControlPlaneError(
      'invalid-setting',
      `${count} settings are more than the ${SETTINGS_MAX} an endpoint can have`,
    );
  const { checkSettings } = await import('@zenith/compute');
  try {
    checkSettings(settings);
  } catch (error) {
    if (error instanceof ZenithError) throw new ControlPlaneError('invalid-setting', error.message, { cause: error });
    throw error;
  }
}
