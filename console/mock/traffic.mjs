// Records that look like somebody's business, so that a page under work has something to show.

const CITIES = ['berlin', 'lisbon', 'nairobi', 'osaka', 'lima'];
const ITEMS = ['espresso', 'flat white', 'croissant', 'bagel', 'juice'];

export function startTraffic(log) {
  log.put('orders', { partitions: 3, retention: { age_ms_max: 7 * 86_400_000 } });
  log.put('sensors.temperature', { partitions: 2, durability: 'relaxed', retention: { bytes_max: 1 << 30 } });
  log.put('cursors', { durability: 'ephemeral' });
  log.put('earthquakes', { partitions: 1 });
  log.put('flights', { partitions: 4 });
  log.put('invoices', {
    schema: { type: 'object', required: ['total'], properties: { total: { type: 'number' } } },
  });
  let count = 0;
  const order = (timestamp) => {
    count += 1;
    const city = pick(CITIES);
    log.publish({
      topic: 'orders',
      key: `${city}/till-${1 + Math.floor(Math.random() * 4)}`,
      timestamp,
      headers: { source: 'till', traceparent: `00-${hex(32)}-${hex(16)}-01` },
      data: { order: count, city, item: pick(ITEMS), quantity: 1 + (count % 3), total: 2.4 * (1 + (count % 7)) },
    });
  };
  for (let index = 600; index > 0; index -= 1) order(Date.now() - index * 900);
  const timers = [
    setInterval(() => order(Date.now() - Math.floor(Math.random() * 4)), 300),
    setInterval(() => {
      const celsius = Number((18 + Math.random() * 6).toFixed(2));
      log.publish({ topic: 'sensors.temperature', key: `hall/${count % 9}`, data: { celsius } });
    }, 110),
  ];
  return () => timers.forEach(clearInterval);
}

const pick = (from) => from[Math.floor(Math.random() * from.length)];
const hex = (digits) => Array.from({ length: digits }, () => Math.floor(Math.random() * 16).toString(16)).join('');
