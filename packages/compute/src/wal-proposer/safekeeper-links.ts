import { assert } from '@zenith/base';
import type { NodeId } from '@zenith/consensus';
import type { SafekeeperAddress } from './safekeeper-address.ts';
import type { SafekeeperLink } from './safekeeper-link.ts';

/** One link for each safekeeper of the configuration, which may change: links of those that left are closed, new ones are made and started. */
export class SafekeeperLinks {
  readonly #addresses = new Map<NodeId, SafekeeperAddress>();
  readonly #links = new Map<NodeId, SafekeeperLink>();
  readonly #make: (address: SafekeeperAddress) => SafekeeperLink;
  #started = false;

  /** @param make makes a link that is not started yet */
  constructor(addresses: readonly SafekeeperAddress[], make: (address: SafekeeperAddress) => SafekeeperLink) {
    this.#make = make;
    this.learn(addresses);
  }

  /** How many safekeepers there are links to. */
  get size(): number {
    return this.#links.size;
  }

  /** The addresses of the members. */
  get addresses(): readonly SafekeeperAddress[] {
    return [...this.#links.keys()].flatMap((node) => this.#addresses.get(node) ?? []);
  }

  /** The address of a safekeeper, a member or not. */
  address(node: NodeId): SafekeeperAddress | undefined {
    return this.#addresses.get(node);
  }

  /** Remembers where safekeepers are. A link that there is goes on with the address it was made with. */
  learn(addresses: readonly SafekeeperAddress[]): void {
    for (const address of addresses) this.#addresses.set(address.id, address);
  }

  /** Makes `members` those there are links to. @returns false, with nothing changed, when the address of one is not known */
  become(members: readonly NodeId[]): boolean {
    if (!members.every((node) => this.#addresses.has(node))) return false;
    for (const [node, link] of this.#links) {
      if (members.includes(node)) continue;
      link.close();
      this.#links.delete(node);
    }
    for (const node of members) {
      const address = this.#addresses.get(node);
      if (address === undefined || this.#links.has(node)) continue;
      const link = this.#make(address);
      this.#links.set(node, link);
      if (this.#started) link.start();
    }
    return true;
  }

  /** The link of a member. */
  get(node: NodeId): SafekeeperLink {
    const link = this.#links.get(node);
    assert(link !== undefined, 'effects name members only');
    return link;
  }

  /** Begins to connect, with those that come later too. */
  start(): void {
    this.#started = true;
    for (const link of this.#links.values()) link.start();
  }

  /** Gives up connections on which a safekeeper has been silent for too long. */
  checkAlive(nowMs: number): void {
    for (const link of this.#links.values()) link.checkAlive(nowMs);
  }

  /** Ends all connections after what is queued was sent. */
  close(): void {
    for (const link of this.#links.values()) link.close();
  }
}
