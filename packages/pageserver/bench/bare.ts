import { createServer, type AddressInfo } from 'node:net';

// The floor for bench/reads.ts, in a process of its own: a server that answers each request of 48 bytes with so many and looks nothing up: bare.ts ANSWER_BYTES.
const [HELLO_BYTES, REQUEST_BYTES, HEADER_BYTES] = [64, 48, 16];
const answer = Buffer.alloc(Number(process.argv[2]));
const server = createServer((socket) => {
  let received = -HELLO_BYTES;
  socket.setNoDelay(true).write(Buffer.alloc(HEADER_BYTES));
  socket.on('error', () => socket.destroy());
  socket.on('data', (chunk) => {
    for (received += chunk.length; received >= REQUEST_BYTES; received -= REQUEST_BYTES) socket.write(answer);
  });
}).listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }));
process.on('message', () => process.exit(0));
