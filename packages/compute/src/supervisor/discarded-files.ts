import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';

/** Owner only: what is put aside is still a database's. */
const FOLDER_MODE = 0o700;

/** What earlier runs of one compute left: put aside, its files used up by the next run, the rest removed while that one runs already. */
export class DiscardedFiles {
  readonly #onFailure: (error: unknown) => void;
  #folder: string | undefined;
  #removal: Promise<void> = Promise.resolve();

  /** @param onFailure told of a removal that failed; what it left is removed by a later one */
  constructor(onFailure: (error: unknown) => void) {
    this.#onFailure = onFailure;
  }

  /**
   * Moves what an earlier run left out of the way of the next; no process may have any of it open.
   * @param names of what is in `computeDir`; what is not there is passed over
   * @returns the regular files among all that was ever put aside and not removed yet: nobody needs them any more
   */
  async moveAside(computeDir: string, names: readonly string[]): Promise<string[]> {
    await this.#removal; // or it would remove files that are given out here
    this.#folder = join(computeDir, 'discarded');
    mkdirSync(this.#folder, { recursive: true, mode: FOLDER_MODE });
    const place = mkdtempSync(join(this.#folder, 'run-'));
    for (const name of names)
      if (existsSync(join(computeDir, name))) renameSync(join(computeDir, name), join(place, name));
    const files: string[] = [];
    for (const entry of readdirSync(this.#folder, { withFileTypes: true, recursive: true }))
      if (entry.isFile()) files.push(join(entry.parentPath, entry.name));
    return files;
  }

  /** Begins to remove all that was put aside; returns at once. */
  remove(): void {
    const folder = this.#folder;
    if (folder === undefined) return;
    this.#removal = this.#removal.then(() => rm(folder, { recursive: true, force: true }).catch(this.#onFailure));
  }
}
