import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import {
  AuthError,
  requireAllowed,
  type Action,
  type Bearer,
  type Gate,
  type Identity,
  type ServerCertificate,
} from '@zenith/auth';
import { formatLsn, PG_TIMELINE, unreachable } from '@zenith/base';
import {
  PostgresServerError,
  PostgresSession,
  PROPOSER_MESSAGE_LENGTH_MAX,
  requireTls,
  TypeOid,
  type Column,
} from '@zenith/wire';
import type { Logger } from 'pino';
import { SafekeeperError } from '../errors.ts';
import { ProposerConnection } from '../receive/proposer-connection.ts';
import type { SenderMetrics } from '../send/metrics.ts';
import { PAGESERVER_NAME, WalSender, type ConsumerStatus } from '../send/wal-sender.ts';
import type { TimelineRegistry } from '../timeline/registry.ts';
import type { Timeline } from '../timeline/timeline.ts';
import { parseCommand } from './command.ts';
import { parseStartupOptions, type StartupOptions } from './startup-options.ts';

/** How long a client may take for its startup message. Unit: milliseconds. */
const STARTUP_TIMEOUT_MS = 10_000;

/** How long a connection may take to read why it ends. Unit: milliseconds. */
const CLOSE_TIMEOUT_MS = 2_000;

/** What the service needs. */
export interface WalServiceOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** Connections beyond this are closed at once. */
  readonly connectionsMax: number;
  readonly registry: TimelineRegistry;
  /** Undefined: everybody is let in. */
  readonly gate: Gate | undefined;
  /** Undefined: connections are plain. */
  readonly certificate: ServerCertificate | undefined;
  readonly log: Logger;
  readonly metrics: SenderMetrics;
  readonly nowMs: () => number;
}

/** What one connection is doing. */
interface Connection {
  /** Who it is; undefined where everybody is let in. */
  readonly identity: Identity | undefined;
  readonly options: StartupOptions;
  proposer: ProposerConnection | undefined;
  sender: WalSender | undefined;
}

/** A consumer and the timeline it reads. */
export interface Consumer extends ConsumerStatus {
  readonly timeline: string;
}

/** The port for PostgreSQL's protocol: proposers push WAL, consumers read it. */
export class WalService {
  readonly #options: WalServiceOptions;
  readonly #server: Server;
  readonly #sessions = new Map<PostgresSession, Connection | undefined>();
  readonly #sockets = new Set<Socket>();
  /** Who has shown a token, until the session has started. */
  readonly #identities = new WeakMap<PostgresSession, Identity>();
  /** What lets go of a session's token. */
  readonly #releases = new Map<PostgresSession, () => void>();
  #peerCount = 0;

  private constructor(options: WalServiceOptions) {
    this.#options = options;
    const { gate, certificate } = options;
    const serve = (socket: Socket): void => {
      const session: PostgresSession = new PostgresSession(
        socket,
        {
          ...(gate === undefined
            ? {}
            : { authenticate: (parameters, token, asked) => this.#authenticate(gate, parameters, token, asked) }),
          startup: (parameters, started) => this.#startup(parameters, started),
          query: (sql, asked) => this.#query(sql, asked),
          closed: (closed, reason) => this.#closed(closed, reason),
        },
        { messageLengthMax: PROPOSER_MESSAGE_LENGTH_MAX, startupTimeoutMs: STARTUP_TIMEOUT_MS },
      );
      this.#sessions.set(session, undefined);
    };
    const secure = certificate?.wrap(serve);
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
      if (secure === undefined) serve(socket);
      else requireTls(socket, secure, STARTUP_TIMEOUT_MS);
    });
    this.#server.maxConnections = options.connectionsMax;
  }

  /** Begins to listen. @throws SafekeeperError `listen-failed` */
  static async listen(options: WalServiceOptions): Promise<WalService> {
    const service = new WalService(options);
    service.#server.listen(options.port, options.host);
    try {
      await once(service.#server, 'listening');
    } catch (error) {
      const reason =
        (error as NodeJS.ErrnoException).code === 'EADDRINUSE'
          ? 'the port is taken: stop what uses it, or choose another port'
          : (error as Error).message;
      throw new SafekeeperError('listen-failed', `cannot listen on ${options.host}:${options.port}: ${reason}`, {
        cause: error,
      });
    }
    return service;
  }

  /** Where it listens. */
  get address(): { readonly host: string; readonly port: number } {
    const { address, port } = this.#server.address() as AddressInfo;
    return { host: address, port };
  }

  /** Who reads WAL now. */
  get consumers(): readonly Consumer[] {
    return [...this.#sessions.values()].flatMap((connection) =>
      connection?.sender === undefined ? [] : [{ timeline: connection.options.timeline, ...connection.sender.status }],
    );
  }

  /** How many proposers are connected. */
  get proposerCount(): number {
    return [...this.#sessions.values()].filter((connection) => connection?.proposer !== undefined).length;
  }

  /** Ends the connections of a timeline that is being removed. */
  cutOff(timeline: string): void {
    for (const [session, connection] of this.#sessions)
      if (connection?.options.timeline === timeline)
        session.fail(new PostgresServerError('57P01', `timeline ${timeline} is being removed`));
  }

  /** Takes no more connections and ends those there are. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    for (const session of this.#sessions.keys())
      session.fail(new PostgresServerError('57P01', 'the safekeeper is shutting down'));
    const timer = setTimeout(() => {
      for (const socket of this.#sockets) socket.destroy();
    }, CLOSE_TIMEOUT_MS);
    await closed;
    clearTimeout(timer);
  }

  async #authenticate(
    gate: Gate,
    parameters: ReadonlyMap<string, string>,
    token: string,
    session: PostgresSession,
  ): Promise<void> {
    const { tenant, timeline } = parseStartupOptions(parameters);
    let bearer: Bearer;
    try {
      bearer = await gate.admit(token, 'read-wal', { tenant, timeline });
    } catch (error) {
      throw asServerError(error);
    }
    if (!this.#sessions.has(session)) return; // it has gone meanwhile
    this.#identities.set(session, bearer);
    this.#releases.set(
      session,
      gate.hold(bearer, (reason) => session.fail(asServerError(reason))),
    );
  }

  #startup(parameters: ReadonlyMap<string, string>, session: PostgresSession): Readonly<Record<string, string>> {
    const options = parseStartupOptions(parameters);
    const identity = this.#identities.get(session);
    this.#sessions.set(session, { identity, options, proposer: undefined, sender: undefined });
    const timeline = this.#find(options);
    // Stock clients look at the version before anything else; without a timeline it does not matter which.
    return {
      server_version: `${timeline?.identity.pgMajor ?? 18}.0`,
      server_encoding: 'UTF8',
      client_encoding: 'UTF8',
      integer_datetimes: 'on',
    };
  }

  #query(sql: string, session: PostgresSession): void {
    const connection = this.#sessions.get(session);
    if (connection === undefined) throw new PostgresServerError('08P01', 'a query came before the startup message');
    const { options } = connection;
    const { registry, metrics, nowMs } = this.#options;
    const command = parseCommand(sql);
    switch (command.type) {
      case 'identifySystem':
        identifySystem(session, this.#known(options));
        return;
      case 'timelineStatus':
        timelineStatus(session, this.#known(options));
        return;
      case 'show':
        show(session, command.setting, this.#known(options));
        return;
      case 'timelineHistory':
        this.#known(options);
        throw noTimelineHistory(command.pgTimeline);
      case 'startWalPush':
        requireAction(connection, 'write-wal');
        this.#peerCount++;
        connection.proposer = new ProposerConnection(this.#peerCount, session, registry, options);
        return;
      case 'startReplication':
        // Who reads what is not committed yet can write it; what a pageserver says it has made durable lets WAL go.
        if (options.term !== null) requireAction(connection, 'write-wal');
        else if (options.applicationName === PAGESERVER_NAME) requireAction(connection, 'follow-wal');
        connection.sender = new WalSender(
          this.#known(options),
          session,
          { startLsn: command.startLsn, term: options.term, applicationName: options.applicationName, nowMs },
          metrics,
        );
        return;
      default:
        unreachable(command);
    }
  }

  #closed(session: PostgresSession, reason: Error | undefined): void {
    const connection = this.#sessions.get(session);
    this.#sessions.delete(session);
    this.#releases.get(session)?.();
    this.#releases.delete(session);
    connection?.proposer?.closed();
    connection?.sender?.closed();
    if (reason === undefined) return;
    const { tenant, timeline, applicationName } = connection?.options ?? {};
    this.#options.log.info({ tenant, timeline, applicationName, reason: reason.message }, 'connection ended');
  }

  #find(options: StartupOptions): Timeline | undefined {
    try {
      return this.#options.registry.find(options.tenant, options.timeline);
    } catch (error) {
      throw new PostgresServerError('XX001', (error as Error).message);
    }
  }

  #known(options: StartupOptions): Timeline {
    const timeline = this.#find(options);
    if (timeline === undefined)
      throw new PostgresServerError(
        '42704',
        `timeline ${options.timeline} of tenant ${options.tenant} is not known to this safekeeper: no compute has written to it here`,
      );
    return timeline;
  }
}

/** @throws PostgresServerError unless the connection's token allows the action on its timeline */
function requireAction({ identity, options }: Connection, action: Action): void {
  if (identity === undefined) return;
  try {
    requireAllowed(identity, action, options);
  } catch (error) {
    throw asServerError(error);
  }
}

/** What PostgreSQL would say: invalid_password, or insufficient_privilege. */
function asServerError(error: unknown): Error {
  if (!(error instanceof AuthError)) return error as Error;
  return new PostgresServerError(error.code === 'credentials-forbidden' ? '42501' : '28P01', error.message);
}

const IDENTIFY_SYSTEM: readonly Column[] = [
  { name: 'systemid', type: TypeOid.text },
  { name: 'timeline', type: TypeOid.int8 },
  { name: 'xlogpos', type: TypeOid.text },
  { name: 'dbname', type: TypeOid.text },
];

function identifySystem(session: PostgresSession, timeline: Timeline): void {
  session.sendResult(
    IDENTIFY_SYSTEM,
    [[timeline.identity.systemId, String(PG_TIMELINE), formatLsn(timeline.commitLsn), null]],
    'IDENTIFY_SYSTEM',
  );
}

/**
 * No PostgreSQL timeline has a history file here: all WAL is of the first one, which never has one, and a branch is a timeline of its own. So it is what PostgreSQL answers without such a file. PG 18: walsender.c,
 * SendTimeLineHistory().
 */
function noTimelineHistory(pgTimeline: number): PostgresServerError {
  const name = `${pgTimeline.toString(16).toUpperCase().padStart(8, '0')}.history`;
  return new PostgresServerError('58P01', `could not open file "pg_wal/${name}": No such file or directory`);
}

const TIMELINE_STATUS: readonly Column[] = [
  'term',
  'flush_lsn',
  'commit_lsn',
  'ingested_lsn',
  'remote_consistent_lsn',
  'backup_lsn',
  'local_start_lsn',
  'configuration',
].map((name) => ({ name, type: TypeOid.text }));

/** Not PostgreSQL's: how the timeline stands, for a person with psql and for a compute that looks how far the others are. */
function timelineStatus(session: PostgresSession, timeline: Timeline): void {
  const { control, flushLsn } = timeline.state;
  const { generation, members, newMembers } = control.configuration;
  const change = newMembers === null ? '' : ` to ${newMembers.join(',')}`;
  session.sendResult(
    TIMELINE_STATUS,
    [
      [
        String(control.term),
        formatLsn(flushLsn),
        formatLsn(control.commitLsn),
        formatLsn(timeline.ingestedLsn),
        formatLsn(control.remoteConsistentLsn),
        timeline.isArchived ? formatLsn(control.backupLsn) : null,
        formatLsn(control.localStartLsn),
        `${generation}: ${members.join(',')}${change}`,
      ],
    ],
    'TIMELINE_STATUS',
  );
}

/** The two settings stock clients ask for. PG 18: streamutil.c, RetrieveWalSegSize() and RetrieveDataDirCreatePerm(). */
function show(session: PostgresSession, setting: string, timeline: Timeline): void {
  const settings: Readonly<Record<string, string>> = {
    wal_segment_size: `${timeline.identity.segmentSize / 1024 / 1024}MB`,
    data_directory_mode: '0700',
  };
  const value = settings[setting];
  if (value === undefined) throw new PostgresServerError('42704', `a safekeeper has no setting ${setting}`);
  session.sendResult([{ name: setting, type: TypeOid.text }], [[value]], 'SHOW');
}
