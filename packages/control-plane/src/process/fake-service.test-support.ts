import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A real process that keeps the contract of the services (docs/architecture.md), and can be told to break it. */
export interface FakeService {
  readonly folder: string;
  readonly main: string;
  readonly dataDir: string;
  readonly logFile: string;
  readonly pidFile: string;
  remove(): void;
}

const HEAD = `
import { rmSync, writeFileSync } from 'node:fs';
const dir = process.argv[process.argv.indexOf('--data-dir') + 1];
const pidFile = dir + '/fake.pid';
writeFileSync(pidFile, process.pid + '\\n');
const stop = () => { rmSync(pidFile); process.exit(0); };
setInterval(() => {}, 1000);
`;

const behaviours = {
  good: `process.on('SIGTERM', stop); console.log('{"level":30,"msg":"serving"}'); process.send({ ready: true, port: 7 });`,
  refuses: `process.send({ ready: false, error: 'the disk\\nis full' }, () => process.exit(1));`,
  dies: `console.log('{"level":50,"msg":"cannot read index","err":{"message":"bad checksum"}}'); process.exit(3);`,
  hangs: `process.on('SIGTERM', stop);`,
  stubborn: `process.on('SIGTERM', () => {}); process.send({ ready: true });`,
} as const;

/** A way a service can behave. */
export type Behaviour = keyof typeof behaviours;

/** Writes a service's main module into a temporary folder. */
export function fakeService(behaviour: Behaviour): FakeService {
  const folder = mkdtempSync(join(tmpdir(), 'zenith-service-'));
  const dataDir = join(folder, 'data');
  mkdirSync(dataDir);
  const main = join(folder, 'main.mjs');
  writeFileSync(main, HEAD + behaviours[behaviour]);
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  return { folder, main, dataDir, logFile: join(dataDir, 'fake.log'), pidFile: join(dataDir, 'fake.pid'), remove };
}
