import type { Tokens } from '@zenith/auth';
import type { Lsn, TenantId, TimelineId } from '@zenith/base';
import type { AcceptorControl } from '@zenith/consensus';
import { openDonorWal, readCommitPoints, readDonorControl, type DonorAddress } from './donor.ts';
import type { CommitPoint, Peer, WalSource } from './peer.ts';

/** Another safekeeper, asked over the network. */
export class RemotePeer implements Peer {
  readonly #address: DonorAddress;
  readonly #tokens: Tokens;

  constructor(address: DonorAddress, tokens: Tokens) {
    this.#address = address;
    this.#tokens = tokens;
  }

  get id(): number {
    return this.#address.id;
  }

  commitPoints(tenant: TenantId): Promise<readonly CommitPoint[]> {
    return readCommitPoints(this.#address, this.#tokens, tenant);
  }

  control(tenant: TenantId, timeline: TimelineId): Promise<AcceptorControl | undefined> {
    return readDonorControl(this.#address, this.#tokens, tenant, timeline);
  }

  openWal(tenant: TenantId, timeline: TimelineId, from: Lsn): Promise<WalSource> {
    return openDonorWal(this.#address, this.#tokens, tenant, timeline, from);
  }
}
