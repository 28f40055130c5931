import { startProposer } from '../proposer/state.ts';
import { IDENTITY, ProposerScript, THREE } from './trace.test-support.ts';

/**
 * Figure 8 of the Raft paper: term 1 wrote [100,120) everywhere, term 2 [120,140) on safekeeper 1 alone, term 3 [120,130) on 3 alone. Term 4 is elected by 1 and 2 with 1 as donor, and 2 then
 * has term 2's WAL up to 136. That is a quorum, but 3 could still win with its higher last term and overwrite it.
 */
export function figure8(): ProposerScript {
  return new ProposerScript(
    startProposer({
      identity: IDENTITY,
      configuration: THREE,
      mode: 'lead',
      expectedStartLsn: null,
      appendBytesMax: 50,
      inflightBytesMax: 100,
      coalesceBytesMax: 0,
    }),
  )
    .connected(1, 2)
    .greeted(1, 2)
    .greeted(2, 3)
    .voted(1, 4, 140, '0@100 1@100 2@120')
    .voted(2, 4, 120, '0@100 1@100')
    .acknowledged(1, 4, 140)
    .acknowledged(2, 4, 136);
}
