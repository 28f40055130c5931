/** Work that can be interrupted at every `yield`; a yielded promise is awaited before it goes on. */
export type SlicedWork<T> = Generator<Promise<unknown> | undefined, T, undefined>;

/** When sliced work gives way and when it ends early. */
export interface SliceOptions {
  /** Length of a slice. Unit: milliseconds. */
  readonly sliceMs: number;
  /** The time. Unit: milliseconds. */
  readonly now: () => number;
  /** When aborted the work is ended at its next interruption, its `finally` blocks run, and the reason is thrown. */
  readonly signal: AbortSignal;
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Runs `work` in slices, so that reads and ingest go on between them. */
export async function runInSlices<T>(work: SlicedWork<T>, options: SliceOptions): Promise<T> {
  const { sliceMs, now, signal } = options;
  try {
    for (;;) {
      signal.throwIfAborted();
      const end = now() + sliceMs;
      do {
        const step = work.next();
        if (step.done === true) return step.value;
        if (step.value !== undefined) await step.value;
      } while (now() < end);
      await nextTurn();
    }
  } catch (error) {
    work.return(undefined as never);
    throw error;
  }
}
