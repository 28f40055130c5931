/** Gives values that are equal one small number, so that a state of the whole cluster is a handful of them, and a step from it is looked up instead of taken twice. */
export class Interner<T> {
  readonly #keyOf: (value: T) => string;
  readonly #ids = new Map<string, number>();
  readonly #values: T[] = [];

  /** @param keyOf text that is the same for values which behave the same from here on */
  constructor(keyOf: (value: T) => string) {
    this.#keyOf = keyOf;
  }

  /** How many different values there are. */
  get size(): number {
    return this.#values.length;
  }

  /** The number of `value`. */
  id(value: T): number {
    const key = this.#keyOf(value);
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    const id = this.#values.length;
    this.#ids.set(key, id);
    this.#values.push(value);
    return id;
  }

  /** The value of that number: the first of those that are equal. */
  value(id: number): T {
    return this.#values[id] as T;
  }
}
