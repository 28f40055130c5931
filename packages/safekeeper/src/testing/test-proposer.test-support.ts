import { formatLsn, type Lsn } from '@zenith/base';
import {
  ProposerCore,
  type Configuration,
  type NodeId,
  type ProposerEffect,
  type ProposerOptions,
  type Term,
  type TimelineIdentity,
} from '@zenith/consensus';
import {
  decodeAcceptorMessage,
  decodeWalSenderMessage,
  encodeProposerMessage,
  PostgresClient,
  walSenderMessage,
  type CopyBothStream,
} from '@zenith/wire';

/** Where a safekeeper listens. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** WAL to propose. */
export interface WalSource {
  readonly endLsn: Lsn;
  /** The WAL `[begin, end)`; it never changes. */
  bytes(begin: Lsn, end: Lsn): Uint8Array;
}

function parameters(identity: TimelineIdentity, term?: Term, applicationName = 'test'): Record<string, string> {
  const options = `-c zenith.tenant=${identity.tenant} -c zenith.timeline=${identity.timeline}`;
  return {
    user: 'test',
    replication: 'true',
    application_name: applicationName,
    options: term === undefined ? options : `${options} -c zenith.term=${term}`,
  };
}

/** A connection to a safekeeper about one timeline. */
export function connectTo(
  address: Address,
  identity: TimelineIdentity,
  term?: Term,
  applicationName?: string,
): Promise<PostgresClient> {
  return PostgresClient.connect({
    ...address,
    parameters: parameters(identity, term, applicationName),
    timeoutMs: 10_000,
    keepsNothing: true,
  });
}

/** Reads `[begin, end)` with START_REPLICATION. */
export async function readWal(
  address: Address,
  identity: TimelineIdentity,
  begin: Lsn,
  end: Lsn,
  term?: Term,
): Promise<Uint8Array> {
  const client = await connectTo(address, identity, term);
  const bytes = new Uint8Array(end - begin);
  let done = 0;
  const message = walSenderMessage();
  let finished: () => void = () => undefined;
  const complete = new Promise<void>((resolve) => {
    finished = resolve;
  });
  try {
    await client.copyBoth(`START_REPLICATION PHYSICAL ${formatLsn(begin)} TIMELINE 1`, (from, view, offset, length) => {
      decodeWalSenderMessage(view, offset, length, message);
      if (message.kind !== 'xlog-data') return;
      const count = Math.min(message.walLength, bytes.length - done);
      bytes.set(from.subarray(message.walOffset, message.walOffset + count), done);
      done += count;
      if (done === bytes.length) finished();
    });
    const lost = client.closed.then((error) => {
      throw error ?? new Error('the safekeeper closed the connection');
    });
    await Promise.race([complete, lost]);
    return bytes;
  } finally {
    client.destroy();
  }
}

/** The smallest shell around the proposer core that does all it must; the WAL comes from memory. */
export class TestProposer {
  readonly core: ProposerCore;
  readonly ends: string[] = [];
  readonly #identity: TimelineIdentity;
  readonly #addresses: ReadonlyMap<NodeId, Address>;
  readonly #wal: () => WalSource;
  readonly #clients = new Map<NodeId, PostgresClient>();
  readonly #streams = new Map<NodeId, CopyBothStream>();
  readonly #outboxes = new Map<NodeId, Promise<void>>();
  #listeners: (() => void)[] = [];
  #closed = false;

  constructor(
    identity: TimelineIdentity,
    configuration: Configuration,
    addresses: ReadonlyMap<NodeId, Address>,
    wal: () => WalSource,
    options: Partial<ProposerOptions> = {},
  ) {
    this.#identity = identity;
    this.#addresses = addresses;
    this.#wal = wal;
    this.core = new ProposerCore({
      identity,
      configuration,
      mode: 'lead',
      expectedStartLsn: null,
      appendBytesMax: 64 * 1024,
      inflightBytesMax: 512 * 1024,
      coalesceBytesMax: 0,
      ...options,
    });
  }

  /** Connects to these safekeepers, by default to all. */
  async connect(nodes: Iterable<NodeId> = this.#addresses.keys()): Promise<this> {
    for (const node of nodes) {
      const client = await connectTo(this.#addresses.get(node) as Address, this.#identity);
      this.#clients.set(node, client);
      const stream = await client.copyBoth('START_WAL_PUSH', (_bytes, view, offset, length) => {
        if (!this.#closed) this.#run(this.core.receive(node, decodeAcceptorMessage(view, offset, length)));
      });
      this.#streams.set(node, stream);
      this.#outboxes.set(node, Promise.resolve());
      void client.closed.then((error) => {
        if (this.#closed || this.#clients.get(node) !== client) return;
        this.ends.push(`${node}: ${error?.message ?? 'closed'}`);
        this.#streams.delete(node);
        this.#run(this.core.disconnected(node));
      });
      this.#run(this.core.connected(node));
    }
    return this;
  }

  /** Resolves once the state is as asked for. */
  async until(condition: (state: ProposerCore['state']) => boolean): Promise<void> {
    while (!condition(this.core.state)) {
      await new Promise<void>((resolve) => {
        this.#listeners.push(resolve);
      });
    }
  }

  /** Hands in all WAL there is, and resolves when it is committed up to `lsn`. */
  async commit(lsn: Lsn): Promise<void> {
    this.#run(this.core.wal(this.#wal().endLsn));
    await this.until(({ commitLsn, phase }) => commitLsn >= lsn || phase !== 'leading');
    if (this.core.state.commitLsn < lsn) throw new Error(`the proposer is ${this.core.state.phase}`);
  }

  /** Hands in the WAL there is. */
  offer(endLsn = this.#wal().endLsn): void {
    this.#run(this.core.wal(endLsn));
  }

  tick(): void {
    this.#run(this.core.tick());
  }

  /** Ends the connection to one safekeeper. */
  cut(node: NodeId): void {
    this.#clients.get(node)?.destroy();
  }

  close(): void {
    this.#closed = true;
    for (const client of this.#clients.values()) client.destroy();
  }

  #run(effects: readonly ProposerEffect[]): void {
    for (const effect of effects) {
      switch (effect.type) {
        case 'send':
          this.#enqueue(effect.to, (stream) => void stream.send(encodeProposerMessage(effect.message)));
          break;
        case 'append':
          this.#enqueue(effect.to, async (stream) => {
            const { beginLsn, endLsn, term } = effect.request;
            const donor = effect.donor === null ? undefined : this.#addresses.get(effect.donor);
            const bytes =
              donor === undefined
                ? this.#wal().bytes(beginLsn, endLsn)
                : await readWal(donor, this.#identity, beginLsn, endLsn, term);
            stream.send(encodeProposerMessage(effect.request), bytes);
          });
          break;
        case 'disconnect':
          this.ends.push(`${effect.node}: ${effect.reason}`);
          this.cut(effect.node);
          break;
        case 'scheduleElection':
          setTimeout(() => {
            if (!this.#closed) this.#run(this.core.electionDue());
          }, 10);
          break;
        case 'fenced':
          this.ends.push(`fenced by term ${effect.term}`);
          break;
        case 'reconfigured':
          this.ends.push(`reconfigured: ${effect.configuration.generation}`);
          break;
        case 'stopped':
          this.ends.push(`stopped: ${effect.reason}`);
          break;
        case 'elected':
        case 'synced':
        case 'commitAdvanced':
          break;
        default:
          effect satisfies never;
      }
    }
    const listeners = this.#listeners;
    this.#listeners = [];
    for (const listener of listeners) listener();
  }

  #enqueue(node: NodeId, action: (stream: CopyBothStream) => void | Promise<void>): void {
    const stream = this.#streams.get(node);
    if (stream === undefined) return;
    const done = (this.#outboxes.get(node) ?? Promise.resolve()).then(() =>
      this.#streams.get(node) === stream ? action(stream) : undefined,
    );
    this.#outboxes.set(
      node,
      done.catch(() => this.cut(node)),
    );
  }
}
