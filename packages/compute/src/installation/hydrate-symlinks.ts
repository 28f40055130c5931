import { existsSync, readFileSync, symlinkSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import * as v from 'valibot';
import { ComputeError, messageOf, systemCodeOf } from '../errors.ts';

/** npm cannot pack symbolic links, so the package lists them; paths are relative to the package's folder. */
const SymlinkList = v.pipe(v.array(v.object({ source: v.string(), target: v.string() })), v.maxLength(1000));

/**
 * Makes the symbolic links among the shared libraries that `native/pg-symlinks.json` lists and that are missing: what the package's install script does where
 * npm runs it. Two processes may do it at once.
 * @throws ComputeError `postgres-unusable` when the list cannot be read or a link cannot be made
 */
export function hydrateSymlinks(packageDir: string): void {
  const listFile = join(packageDir, 'native', 'pg-symlinks.json');
  if (!existsSync(listFile)) return;
  let links: v.InferOutput<typeof SymlinkList>;
  try {
    links = v.parse(SymlinkList, JSON.parse(readFileSync(listFile, 'utf8')));
  } catch (error) {
    throw new ComputeError('postgres-unusable', `cannot read '${listFile}': ${messageOf(error)}`, { cause: error });
  }
  const root = resolve(packageDir) + sep;
  for (const { source, target } of links) {
    const from = join(packageDir, source);
    const link = join(packageDir, target);
    if (!from.startsWith(root) || !link.startsWith(root))
      throw new ComputeError('postgres-unusable', `'${listFile}' names a path outside of its package: '${target}'`);
    if (existsSync(link)) continue;
    try {
      symlinkSync(relative(dirname(link), from), link);
    } catch (error) {
      if (systemCodeOf(error) === 'EEXIST') continue;
      throw new ComputeError(
        'postgres-unusable',
        `cannot make the symbolic link '${link}' that PostgreSQL needs: ${messageOf(error)}`,
        { cause: error },
      );
    }
  }
}
