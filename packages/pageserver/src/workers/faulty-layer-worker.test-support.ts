import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { type FileSystem, localFileSystem } from '../layers/file-system.ts';
import { chainRedo } from '../timeline/storage-model.test-support.ts';
import { JobRunner } from './job-runner.ts';

/** A worker with the tests' redo whose faults are files in the folder that the environment names: `die` ends it in the middle of its next write, `hold` keeps it from syncing what it wrote, `full` is a disk without room. */
export const FAULTS_FOLDER = 'ZENITH_TEST_WORKER_FAULTS';

const folder = process.env[FAULTS_FOLDER] ?? '';

async function whileHeld(): Promise<void> {
  if (existsSync(`${folder}/hold`)) writeFileSync(`${folder}/held`, '');
  while (existsSync(`${folder}/hold`)) await new Promise((resolve) => setTimeout(resolve, 2));
}

const fileSystem: FileSystem = {
  ...localFileSystem,
  write(fd, bytes, offset, length) {
    if (existsSync(`${folder}/full`))
      throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
    if (!existsSync(`${folder}/die`)) return localFileSystem.write(fd, bytes, offset, length);
    rmSync(`${folder}/die`);
    localFileSystem.write(fd, bytes, offset, length >>> 1);
    throw process.exit(7);
  },
  sync: whileHeld,
  syncDirectory: () => Promise.resolve(),
};

if (parentPort !== null) JobRunner.start({ port: parentPort, fileSystem, redo: chainRedo });
