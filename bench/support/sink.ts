// Takes bytes from connections and throws them away; answers one byte for each `argv[2]` of them. Tells its parent its port.
import { createServer, type AddressInfo } from 'node:net';

const unit = Number(process.argv[2]);

const server = createServer((socket) => {
  let missing = unit;
  socket.on('data', (chunk) => {
    missing -= chunk.length;
    for (; missing <= 0; missing += unit) socket.write('.');
  });
  socket.on('close', () => server.close());
});
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
