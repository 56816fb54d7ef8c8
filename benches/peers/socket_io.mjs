// A room server on socket.io, WebSocket only and without compression: its fastest setting.
import { createServer } from 'node:http';
import { Server } from 'socket.io';

const http = createServer();
const io = new Server(http, { transports: ['websocket'], perMessageDeflate: false });
io.on('connection', (socket) => {
  socket.on('join', (room) => {
    socket.join(room);
    socket.emit('ok');
  });
  socket.on('publish', (room, value) => io.to(room).emit('record', value));
});
http.listen({ host: '127.0.0.1', port: Number(process.argv[2]), backlog: 4096 });
