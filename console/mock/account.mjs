// The account of the mock's tenant: fixed terms, counts that grow while one looks.

const HOUR = 3_600_000;

export function account(now) {
  const month = new Date(now);
  const start = Date.UTC(month.getUTCFullYear(), month.getUTCMonth(), 1);
  const end = Date.UTC(month.getUTCFullYear(), month.getUTCMonth() + 1, 1);
  const published = Math.floor((now - start) / 1_000);
  const metric = (name, used, terms) => ({
    metric: name,
    used,
    forecast: Math.floor((used * (end - start)) / Math.max(1, now - start)),
    included: null,
    soft_max: null,
    hard_max: null,
    amount_minor: 0,
    forecast_minor: 0,
    last_week: Math.floor(used / 3),
    week_before: Math.floor(used / 4),
    ...terms,
  });
  return {
    tenant: 'ten_0190a5c3b1f27d8e9a6b4c2d1e0f3a5b',
    plan: 'pro',
    status: 'active',
    status_reason: null,
    trial_ends_at: null,
    past_due_at: null,
    grace_ends_at: null,
    stop_reason: null,
    stop_until: null,
    stripe_subscription_id: null,
    stripe_status: null,
    period_start: start,
    period_end: end,
    currency: 'usd',
    base_minor: 4_900,
    metrics: [
      metric('events_published', published, { included: 1_000_000, hard_max: 3_000_000 }),
      metric('events_delivered', 42 * published, { included: 10_000_000, amount_minor: 320, forecast_minor: 480 }),
      metric('connection_seconds', 3_600 * 40),
      metric('api_requests', 9_000, { soft_max: 10_000 }),
    ],
    projects: [],
    total_minor: 5_220,
    forecast_minor: 5_380,
    budgets: [{ id: 'bud_1', name: 'ceiling', metric: null, amount: 10_000, action: 'stop', created_at: start }],
    hints: ['each published event is delivered 42 times: `where` leaves out what readers do not need'],
  };
}

/** A day of hours that rise and fall. */
export function windows(now) {
  const last = Math.floor(now / HOUR) * HOUR;
  return Array.from({ length: 24 }, (_, index) => ({
    project: 'prj_0190a5c3b1f27d8e9a6b4c2d1e0f3a5b',
    metric: 'events_published',
    window_start: last - (23 - index) * HOUR,
    quantity: Math.round(500 + 400 * Math.sin(index / 3)),
  }));
}
