import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MissingTool } from '../errors.ts';
import { runCommand } from './run-command.ts';

/** The source package whose suites are run: the newest that Debian 12 has. */
const SOURCE_PACKAGE = 'postgresql-15';
const SOURCE_VERSION = '15.18';
const DEBIAN_REVISION = '0+deb12u1';

/** In the source tree. A newer psql of the same major version may differ in what it prints: 15.20 skips the data of a COPY that has failed, 15.18's results are of one that takes them for commands. */
const PSQL_FOLDER = 'src/bin/psql';

/** Made first, since the others are compiled with them. */
const GENERATED_HEADERS = 'src/backend generated-headers';
const PARTS = [PSQL_FOLDER, 'src/test/regress', 'src/test/isolation', 'contrib/spi'];

const DOWNLOAD_TIMEOUT_MS = 300_000;
const BUILD_TIMEOUT_MS = 900_000;

/** PostgreSQL's test programs and suites, built. */
export interface SuiteTools {
  /** The source tree: `src/test/regress`, `src/test/isolation`, `contrib`. */
  readonly source: string;
  /** The folder with `psql`. */
  readonly clientBinDir: string;
  /** The folder with the libpq that psql and the test programs are linked with. */
  readonly libraryFolder: string;
  /** The major version whose servers can load `regress.so`. */
  readonly regressLibraryMajor: 15;
}

/** What must be there before anything can be built. */
const PROGRAMS: readonly (readonly [program: string, debianPackage: string])[] = [
  ['apt-get', 'apt'],
  ['make', 'make'],
  ['cc', 'gcc'],
  ['perl', 'perl'],
  ['tar', 'tar'],
  ['bzip2', 'bzip2'],
];

function requirePrograms(): void {
  const folders = (process.env['PATH'] ?? '').split(':');
  const missing = PROGRAMS.filter(([program]) => !folders.some((folder) => existsSync(join(folder, program))));
  if (missing.length > 0)
    throw new MissingTool(
      `${missing.map(([program]) => program).join(', ')} not found: apt-get install ${missing.map(([, name]) => name).join(' ')}`,
    );
}

async function step(program: string, args: readonly string[], cwd: string, timeoutMs: number): Promise<void> {
  const { code, tail } = await runCommand(program, args, { cwd, timeoutMs });
  if (code !== 0) throw new Error(`'${program} ${args.join(' ')}' in ${cwd} exited with ${code}:\n${tail}`);
}

/**
 * Fetches the source package by apt, with lists of its own: neither root nor a change of the system's sources is needed.
 * @returns the path of the archive
 */
async function fetchSource(folder: string): Promise<string> {
  for (const name of ['lists/partial', 'archives/partial']) mkdirSync(join(folder, name), { recursive: true });
  const key = '/usr/share/keyrings/debian-archive-keyring.gpg';
  if (!existsSync(key)) throw new MissingTool(`${key} not found: apt-get install debian-archive-keyring`);
  writeFileSync(
    join(folder, 'sources.list'),
    ['debian bookworm main', 'debian-security bookworm-security main']
      .map((suite) => `deb-src [signed-by=${key}] http://deb.debian.org/${suite}\n`)
      .join(''),
  );
  const options = Object.entries({
    'Dir::Etc::SourceList': join(folder, 'sources.list'),
    'Dir::Etc::SourceParts': '/dev/null',
    'Dir::State::Lists': join(folder, 'lists'),
    'Dir::Cache': join(folder, 'archives'),
  }).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  await step('apt-get', [...options, 'update'], folder, DOWNLOAD_TIMEOUT_MS);
  const source = `${SOURCE_PACKAGE}=${SOURCE_VERSION}-${DEBIAN_REVISION}`;
  await step('apt-get', [...options, 'source', '--download-only', source], folder, DOWNLOAD_TIMEOUT_MS);
  const archive = readdirSync(folder).find((name) => name.endsWith('.orig.tar.bz2'));
  if (archive === undefined) throw new Error(`apt-get left no source archive in ${folder}`);
  return join(folder, archive);
}

/**
 * PostgreSQL's test suites from `cache`; fetched and built first when they are not there, which takes about a minute. Only psql and the test programs are built, no server.
 * @param onProgress told what is done
 * @throws MissingTool naming what to install
 */
export async function suiteTools(cache: string, onProgress: (message: string) => void): Promise<SuiteTools> {
  requirePrograms();
  const source = join(cache, `postgresql-${SOURCE_VERSION}`);
  if (!existsSync(join(source, PSQL_FOLDER, 'psql'))) {
    rmSync(source, { recursive: true, force: true }); // one that was built without psql
    const folder = join(cache, `build-${process.pid}`);
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder);
    try {
      onProgress(`fetching the source of PostgreSQL ${SOURCE_VERSION}`);
      const archive = await fetchSource(folder);
      await step('tar', ['-xjf', archive, '--no-same-owner'], folder, BUILD_TIMEOUT_MS);
      const tree = join(folder, `postgresql-${SOURCE_VERSION}`);
      onProgress('building its test programs');
      await step('./configure', ['--without-readline', '--without-zlib', '--without-icu'], tree, BUILD_TIMEOUT_MS);
      for (const part of [GENERATED_HEADERS, ...PARTS])
        await step('make', ['-s', '-j2', '-C', ...part.split(' ')], tree, BUILD_TIMEOUT_MS);
      await step('chmod', ['-R', 'a+rX', tree], folder, BUILD_TIMEOUT_MS);
      renameSync(tree, source); // complete or not there
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
  return {
    source,
    clientBinDir: join(source, PSQL_FOLDER),
    libraryFolder: join(source, 'src/interfaces/libpq'),
    regressLibraryMajor: 15,
  };
}
