import { checkAnswer, supervisorStatus, type SupervisorStatus } from './answers.ts';
import { callHttp } from './http-json.ts';

/** Unit: milliseconds. */
const TIMEOUT_MS = 5_000;

/** The interface of one compute's supervisor. Every method throws what {@link callHttp} throws. */
export class SupervisorClient {
  readonly #service: string;
  readonly #host: string;
  readonly #port: number;

  /** @param endpoint for messages */
  constructor(endpoint: string, host: string, httpPort: number) {
    this.#service = `the compute of '${endpoint}'`;
    this.#host = host;
    this.#port = httpPort;
  }

  /** Its state; `commitLsn` covers every commit that was acknowledged before the call. */
  async status(): Promise<SupervisorStatus> {
    return checkAnswer(this.#service, supervisorStatus, await this.#call('GET', '/v1/status'));
  }

  /** Asks it to stop; returns before it has. */
  async stop(mode: 'fast' | 'immediate'): Promise<void> {
    await this.#call('POST', '/v1/stop', { mode });
  }

  /** Tells it where safekeepers are that may become members. */
  async learnSafekeepers(
    safekeepers: readonly { readonly id: number; readonly host: string; readonly port: number }[],
  ): Promise<void> {
    await this.#call('POST', '/v1/safekeepers', { safekeepers });
  }

  #call(method: 'GET' | 'POST', path: string, body?: unknown): Promise<unknown> {
    return callHttp({
      service: this.#service,
      host: this.#host,
      port: this.#port,
      method,
      path,
      body,
      timeoutMs: TIMEOUT_MS,
    });
  }
}
