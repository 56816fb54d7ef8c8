// A room server on uWebSockets' own publish and subscribe, which Bun has built in.
const server = Bun.serve({
  hostname: '127.0.0.1',
  port: Number(process.argv[2]),
  fetch(request, server) {
    return server.upgrade(request) ? undefined : new Response('', { status: 400 });
  },
  websocket: {
    perMessageDeflate: false,
    idleTimeout: 0,
    backpressureLimit: 64 * 1024 * 1024,
    message(socket, text) {
      if (text[0] === '+') {
        socket.subscribe(text.slice(1));
        socket.send('ok');
        return;
      }
      const space = text.indexOf(' ');
      server.publish(text.slice(0, space), text.slice(space + 1));
    },
  },
});
