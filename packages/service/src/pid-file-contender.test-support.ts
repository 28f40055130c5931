import { createInterface } from 'node:readline';
import { ServiceError } from './errors.ts';
import { PidFile } from './pid-file.ts';

// A process that tries to take each data directory that it is told of, and says how that went.

process.stdout.write('ready\n');
for await (const path of createInterface(process.stdin)) {
  try {
    PidFile.acquire(path);
    process.stdout.write('held\n');
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error;
    process.stdout.write(`${error.code}\n`);
  }
}
