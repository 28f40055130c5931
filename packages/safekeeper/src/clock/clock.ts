/** Time, as far as what is kept durably depends on it. The simulation puts its own here. */
export interface Clock {
  /** Calls back once, after this turn of the event loop, so that everything that has arrived is seen first. */
  defer(callback: () => void): void;
  /** Calls back every `intervalMs` until the function it returns is called. It does not keep the process alive. */
  every(intervalMs: number, callback: () => void): () => void;
}

/** The event loop's clock. */
export const systemClock: Clock = {
  defer: (callback) => void setImmediate(callback),
  every(intervalMs, callback) {
    const timer = setInterval(callback, intervalMs);
    timer.unref();
    return () => clearInterval(timer);
  },
};
