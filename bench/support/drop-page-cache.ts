import { spawnSync } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Makes the next reads of everything below `directories` come from the disk: all of the page cache for root, those files' pages for anybody else. */
export function dropPageCache(directories: readonly string[]): void {
  spawnSync('sync');
  if (process.getuid?.() === 0) {
    writeFileSync('/proc/sys/vm/drop_caches', '3\n');
    return;
  }
  for (const directory of directories) {
    for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
      if (entry.isFile())
        spawnSync('dd', [
          `of=${join(entry.parentPath, entry.name)}`,
          'oflag=nocache',
          'conv=notrunc,fdatasync',
          'count=0',
          'status=none',
        ]);
    }
  }
}
