import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { CorruptionError } from '@zenith/base';
import type { FileSystem } from '../layers/file-system.ts';

/** Names a data directory in remote storage; made once. */
const IDENTITY_FILE = 'identity';

/** The data directory's name for good: what tells its own indexes in remote storage from those of another. @throws CorruptionError; what the file system throws */
export async function dataDirectoryIdentity(fileSystem: FileSystem, dataDirectory: string): Promise<string> {
  const path = join(dataDirectory, IDENTITY_FILE);
  const bytes = fileSystem.readFile(path);
  if (bytes !== undefined) {
    const text = new TextDecoder().decode(bytes).trim();
    if (!/^[0-9a-f-]{36}$/.test(text))
      throw new CorruptionError('this is not the identity of a data directory', { source: path });
    return text;
  }
  const identity = randomUUID();
  const temporary = `${path}.tmp`;
  if (fileSystem.size(temporary) !== undefined) fileSystem.unlink(temporary);
  const content = new TextEncoder().encode(`${identity}\n`);
  const fd = fileSystem.create(temporary);
  try {
    fileSystem.write(fd, content, 0, content.length);
  } finally {
    fileSystem.close(fd);
  }
  await fileSystem.sync(temporary);
  await fileSystem.rename(temporary, path);
  await fileSystem.syncDirectory(dataDirectory);
  return identity;
}
