// A room server on npm's `ws`, as its own documentation broadcasts: one send per client.
import { WebSocketServer } from 'ws';

const rooms = new Map();
const server = new WebSocketServer({
  host: '127.0.0.1',
  port: Number(process.argv[2]),
  perMessageDeflate: false,
  backlog: 4096,
});
server.on('connection', (socket) => {
  let mine = null;
  socket.on('message', (data) => {
    const text = data.toString();
    if (text[0] === '+') {
      mine = rooms.get(text.slice(1)) ?? new Set();
      rooms.set(text.slice(1), mine);
      mine.add(socket);
      socket.send('ok');
      return;
    }
    const space = text.indexOf(' ');
    const value = text.slice(space + 1);
    for (const other of rooms.get(text.slice(0, space)) ?? []) other.send(value);
  });
  socket.on('close', () => mine?.delete(socket));
  socket.on('error', () => socket.terminate());
});
