import { parentPort, workerData } from 'node:worker_threads';
import { assert } from '@zenith/base';
import { localFileSystem } from '../layers/file-system.ts';
import { postgresRedo } from '../timeline/redo.ts';
import { JobRunner } from './job-runner.ts';
import type { WorkerPlan } from './layer-worker-pool.ts';
import { lowerPriority } from './lower-priority.ts';

// The program of a worker thread, see LayerWorkerPool.
assert(parentPort !== null, 'this program runs in a worker thread');
lowerPriority((workerData as WorkerPlan).niceness);
JobRunner.start({ port: parentPort, fileSystem: localFileSystem, redo: postgresRedo() });
