interface Waiting<Answer> {
  resolve(answer: Answer): void;
  reject(error: Error): void;
}

/** Who waits for an answer that the acceptor gives in the order of its inputs. */
export class Answers<Answer> {
  readonly #waiting: Waiting<Answer>[] = [];

  /** Resolves to the answer that comes after those of all who wait already. The input that asks for it is to be dispatched at once. */
  next(): Promise<Answer> {
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  /** Gives `answer` to who has waited longest. */
  give(answer: Answer): void {
    this.#waiting.shift()?.resolve(answer);
  }

  /** There will be no answers. */
  refuseAll(error: Error): void {
    for (const waiting of this.#waiting.splice(0)) waiting.reject(error);
  }
}
