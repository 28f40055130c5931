import { COMPUTE_PORT_FIRST, PAGESERVER_PORTS, PG_MAJORS, safekeeperPorts, type PgMajor } from '@zenith/control-plane';
import { InvalidArgumentError, type Command } from 'commander';
import type { InitCommandOptions } from '../commands/init.ts';
import { countArgument, pgVersionArgument, portArgument } from './arguments.ts';

/** What commander makes of the options below. */
export interface ParsedInitOptions {
  readonly pgVersion?: PgMajor;
  readonly pgBin?: string;
  readonly dataChecksums?: boolean;
  readonly safekeepers?: number;
  readonly host?: string;
  readonly pageserverPort?: number;
  readonly pageserverHttpPort?: number;
  readonly safekeeperPort?: number;
  readonly safekeeperHttpPort?: number;
  readonly computePort?: number;
  readonly osUser?: string;
  readonly remoteStorage?: string;
  readonly auth?: boolean;
  readonly tls?: boolean;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsCa?: string;
}

/** Adds what can be said about a new repository to a command's options. */
export function addInitOptions(command: Command): Command {
  const safekeeper = safekeeperPorts(1);
  return command
    .option(
      '--pg-version <major>',
      `PostgreSQL ${PG_MAJORS.join(', ')} (default: 18, or the version in --pg-bin)`,
      pgVersionArgument,
    )
    .option('--pg-bin <dir>', "use the PostgreSQL programs in this folder, a distribution's, instead of npm's")
    .option(
      '--data-checksums',
      'let PostgreSQL keep a checksum on each page (pages are checked where they are stored anyway)',
    )
    .option('--safekeepers <n>', 'how many safekeepers keep the WAL (default: 1)', countArgument)
    .option('--host <address>', 'address that everything listens on (default: 127.0.0.1)')
    .option('--pageserver-port <port>', `pageserver, page protocol (default: ${PAGESERVER_PORTS.port})`, portArgument)
    .option('--pageserver-http-port <port>', `pageserver, HTTP (default: ${PAGESERVER_PORTS.httpPort})`, portArgument)
    .option(
      '--safekeeper-port <port>',
      `first safekeeper, WAL; the others follow (default: ${safekeeper.port})`,
      portArgument,
    )
    .option(
      '--safekeeper-http-port <port>',
      `first safekeeper, HTTP; the others follow (default: ${safekeeper.httpPort})`,
      portArgument,
    )
    .option('--compute-port <port>', `first port for PostgreSQL (default: ${COMPUTE_PORT_FIRST})`, portArgument)
    .option(
      '--os-user <name>',
      'as root: the OS user that runs PostgreSQL (default: zenith or postgres, made if need be)',
    )
    .option(
      '--remote-storage <place>',
      'where layers outlive the disk: a folder, or s3://bucket/prefix?endpoint=URL (default: .zenith/remote)',
    )
    .option('--auth', "let nobody connect to a service without a token; 'zenith auth' makes tokens and changes keys")
    .option('--tls', 'encrypt all connections between services, with a certificate that is made for them')
    .option('--tls-cert <file>', 'the same with this certificate, PEM, and what follows')
    .option('--tls-key <file>', 'its private key, PEM')
    .option('--tls-ca <file>', 'the authorities by which services know each other, PEM');
}

/** The options in the control plane's terms. */
export function initOptions(parsed: ParsedInitOptions): InitCommandOptions {
  return {
    pgMajor: parsed.pgVersion,
    pgBinDir: parsed.pgBin,
    dataChecksums: parsed.dataChecksums,
    safekeepers: parsed.safekeepers,
    host: parsed.host,
    pageserverPort: parsed.pageserverPort,
    pageserverHttpPort: parsed.pageserverHttpPort,
    safekeeperPortFirst: parsed.safekeeperPort,
    safekeeperHttpPortFirst: parsed.safekeeperHttpPort,
    computePortFirst: parsed.computePort,
    osUser: parsed.osUser,
    remoteStorage: parsed.remoteStorage,
    auth: parsed.auth,
    tls: tlsOf(parsed),
  };
}

/** @throws InvalidArgumentError unless all of the three files are given, or none */
function tlsOf({ tls, tlsCert, tlsKey, tlsCa }: ParsedInitOptions): InitCommandOptions['tls'] {
  if (tlsCert === undefined && tlsKey === undefined && tlsCa === undefined) return tls;
  if (tlsCert === undefined || tlsKey === undefined || tlsCa === undefined)
    throw new InvalidArgumentError('--tls-cert, --tls-key and --tls-ca belong together');
  return { certificate: tlsCert, key: tlsKey, authorities: tlsCa };
}
