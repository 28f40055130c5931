import { readFileSync } from 'node:fs';

/** A small text file; undefined when it, or the process it is about, is not there. @throws whatever else the file system says */
export function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH') return undefined;
    throw error;
  }
}
