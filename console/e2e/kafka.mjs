// As much of Kafka's protocol as it takes to be the one member of a classic group: requests in
// versions whose fields are plain, one after the other on one connection.

import { connect } from 'node:net';

const CLIENT = 'browser-check';
const [COMMIT, JOIN, LEAVE, SYNC, HANDSHAKE, AUTHENTICATE] = [8, 11, 13, 14, 17, 36];

const int = (bytes, value) => {
  const buffer = Buffer.alloc(bytes);
  if (bytes === 8) buffer.writeBigInt64BE(BigInt(value));
  else buffer.writeIntBE(value, 0, bytes);
  return buffer;
};
const text = (value) => Buffer.concat([int(2, Buffer.byteLength(value)), Buffer.from(value)]);
const bytes = (value) => Buffer.concat([int(4, value.length), value]);
const list = (items) => Buffer.concat([int(4, items.length), ...items]);
const all = (...parts) => Buffer.concat(parts);

export class Kafka {
  static async signedIn({ bootstrap, username, password }) {
    const [host, port] = bootstrap.split(':');
    const kafka = new Kafka();
    kafka.socket = connect(Number(port), host);
    kafka.frames = kafka.read();
    await kafka.ask(HANDSHAKE, 1, text('PLAIN'));
    const told = await kafka.ask(AUTHENTICATE, 0, bytes(Buffer.from(`\0${username}\0${password}`)));
    if (told.readInt16BE(0) !== 0) throw new Error('Kafka does not let us in');
    return kafka;
  }

  async *read() {
    let got = Buffer.alloc(0);
    for await (const chunk of this.socket) {
      got = Buffer.concat([got, chunk]);
      while (got.length >= 4 && got.length >= 4 + got.readInt32BE(0)) {
        const end = 4 + got.readInt32BE(0);
        // Behind the length and the number of the request.
        yield got.subarray(8, end);
        got = got.subarray(end);
      }
    }
  }

  async ask(api, version, body) {
    const frame = all(int(2, api), int(2, version), int(4, 1), text(CLIENT), body);
    this.socket.write(all(int(4, frame.length), frame));
    const { value, done } = await this.frames.next();
    if (done) throw new Error('Kafka has closed the connection');
    return value;
  }

  /** Joins and takes partition 0 of the topic. */
  async join(group, topic) {
    const subscription = all(int(2, 0), list([text(topic)]), int(4, -1));
    const body = all(text(group), int(4, 30_000), int(4, 30_000), text(''), text('consumer'), list([all(text('range'), bytes(subscription))]));
    const told = await this.ask(JOIN, 3, body);
    if (told.readInt16BE(4) !== 0) throw new Error(`joining failed: ${told.readInt16BE(4)}`);
    this.generation = told.readInt32BE(6);
    let at = 10;
    const next = () => {
      const length = told.readInt16BE(at);
      at += 2 + length;
      return told.toString('utf8', at - length, at);
    };
    next();
    next();
    this.member = next();
    const assignment = all(int(2, 0), list([all(text(topic), list([int(4, 0)]))]), int(4, -1));
    const synced = await this.ask(SYNC, 1, all(text(group), int(4, this.generation), text(this.member), list([all(text(this.member), bytes(assignment))])));
    if (synced.readInt16BE(4) !== 0) throw new Error(`agreeing failed: ${synced.readInt16BE(4)}`);
  }

  async commit(group, topic, offset) {
    const part = all(int(4, 0), int(8, offset), int(2, -1));
    await this.ask(COMMIT, 2, all(text(group), int(4, this.generation), text(this.member), int(8, -1), list([all(text(topic), list([part]))])));
  }

  async leave(group) {
    await this.ask(LEAVE, 1, all(text(group), text(this.member)));
    this.socket.destroy();
  }
}
