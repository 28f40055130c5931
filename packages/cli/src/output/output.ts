import { startSpinner, type Spinner } from './spinner.ts';

/** Where a command's words for a person go. With `--json` there are none: the command's result is the only document on standard output. */
export interface Output {
  /** A line of what the command was asked for or has done; standard output. */
  line(text: string): void;
  /** The beginning of a line of which the rest follows; standard output. */
  write(text: string): void;
  /**
   * Runs long work: on a terminal with a spinner that shows the latest step and then disappears, elsewhere with a plain line for each step on standard error.
   * @param first the first step
   * @param work is given what announces the next step
   */
  progress<T>(first: string, work: (step: (text: string) => void) => Promise<T>): Promise<T>;
}

/** Says nothing. */
export const silentOutput: Output = {
  line: () => undefined,
  write: () => undefined,
  progress: (_first, work) => work(() => undefined),
};

/** Writes for a person on the process's own streams. */
export class TextOutput implements Output {
  readonly #out: NodeJS.WriteStream;
  readonly #err: NodeJS.WriteStream;

  constructor(out: NodeJS.WriteStream, err: NodeJS.WriteStream) {
    this.#out = out;
    this.#err = err;
  }

  line(text: string): void {
    this.#out.write(`${text}\n`);
  }

  write(text: string): void {
    this.#out.write(text);
  }

  async progress<T>(first: string, work: (step: (text: string) => void) => Promise<T>): Promise<T> {
    if (!this.#err.isTTY) {
      this.#err.write(`${first}\n`);
      return work((text) => this.#err.write(`${text}\n`));
    }
    const spinner: Spinner = startSpinner(this.#err, first);
    try {
      return await work((text) => spinner.message(text));
    } finally {
      spinner.clear();
    }
  }
}
