import type { Route, Router } from '../../packages/compute/src/supervisor/compute-cluster.test-support.ts';
import type { Fault } from './fault.ts';
import { TcpProxy, type LinkState } from './tcp-proxy.ts';

/** What services reach each other through: a {@link TcpProxy} for each port that one of them connects to. */
export class Links {
  readonly #links: { readonly route: Route; readonly port: number; readonly proxy: TcpProxy }[] = [];

  /** The same link each time for the same two services. */
  readonly route: Router = async (route, port) => {
    const known = this.#links.find(
      (link) => link.route.from === route.from && link.route.to === route.to && link.port === port,
    );
    if (known !== undefined) return known.proxy.port;
    const proxy = await TcpProxy.to(port);
    this.#links.push({ route, port, proxy });
    return proxy.port;
  };

  /** The links that `isMeant` is true of get a state until that is mended; one that has another fault already keeps it. */
  fault(isMeant: (route: Route) => boolean, state: LinkState): Fault {
    return () => {
      const proxies = this.#links
        .filter(({ route, proxy }) => isMeant(route) && proxy.state === 'open')
        .map(({ proxy }) => proxy);
      for (const proxy of proxies) proxy.state = state;
      return () => {
        for (const proxy of proxies) proxy.state = 'open';
      };
    };
  }

  /** Resets all connections; nothing passes any more. */
  async close(): Promise<void> {
    for (const { proxy } of this.#links) await proxy.close();
  }
}
