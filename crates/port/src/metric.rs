//! The names of all metrics in one place: emitted through the `metrics` crate, described and
//! rendered by the server. Times are seconds, sizes bytes, as Prometheus wants them.

/// Name, unit and meaning; `mainstem metrics` and the docs are generated from `ALL`.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    pub name: &'static str,
    pub kind: MetricKind,
    pub meaning: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    Counter,
    Gauge,
    Histogram,
}

macro_rules! metrics {
    ($($constant:ident = $name:literal, $kind:ident, $meaning:literal;)+) => {
        $(#[doc = $meaning] pub const $constant: &str = $name;)+
        pub const ALL: &[Metric] = &[
            $(Metric { name: $name, kind: MetricKind::$kind, meaning: $meaning },)+
        ];
    };
}

metrics! {
    CONNECTIONS = "mainstem_connections", Gauge,
        "Open connections, by protocol.";
    CONNECTIONS_ACCEPTED = "mainstem_connections_accepted_total", Counter,
        "Sockets accepted, by listener.";
    CONNECTIONS_REFUSED = "mainstem_connections_refused_total", Counter,
        "Sockets refused or cut before a session began, by reason.";
    WEB_SOCKET_WRITES = "mainstem_websocket_writes_total", Counter,
        "Writes to WebSockets; records delivered per write tell how well they gather.";
    REQUESTS = "mainstem_http_requests_total", Counter,
        "HTTP requests, by protocol, method and status.";
    REQUEST_SECONDS = "mainstem_http_request_seconds", Histogram,
        "Time to answer an HTTP request, by protocol.";
    REFUSALS = "mainstem_refusals_total", Counter,
        "Refused operations, by code.";
    PUBLISHED = "mainstem_records_published_total", Counter,
        "Records appended, by tenant.";
    PUBLISHED_BYTES = "mainstem_published_bytes_total", Counter,
        "Bytes of key, value and headers of appended records, by tenant.";
    DELIVERED = "mainstem_records_delivered_total", Counter,
        "Records handed to connections, by tenant.";
    DELIVERED_BYTES = "mainstem_delivered_bytes_total", Counter,
        "Bytes of key, value and headers of delivered records, by tenant.";
    KAFKA_REQUESTS = "mainstem_kafka_requests_total", Counter,
        "Requests of Kafka clients, by API.";
    KAFKA_ERRORS = "mainstem_kafka_errors_total", Counter,
        "Errors that Kafka clients were told, by API and error.";
    KAFKA_THROTTLED = "mainstem_kafka_throttled_total", Counter,
        "Times that a Kafka client was told to rest.";
    KAFKA_REBALANCES = "mainstem_kafka_rebalances_total", Counter,
        "Generations of Kafka consumer groups.";
    KAFKA_OFFSETS_EXPIRED = "mainstem_kafka_offsets_expired_total", Counter,
        "Offsets of Kafka groups forgotten because nobody used them for as long as they are kept.";
    KAFKA_GROUP_LAG = "mainstem_kafka_group_lag_records", Gauge,
        "Records that a Kafka group has still to read, by project, group and topic.";
    USAGE_WRITE_SECONDS = "mainstem_usage_write_seconds", Histogram,
        "Time of one write of the usage windows.";
    USAGE_WRITTEN_AT = "mainstem_usage_written_timestamp_seconds", Gauge,
        "When the usage windows were last written.";
    USAGE_WARNINGS = "mainstem_usage_warnings_total", Counter,
        "Warnings given to tenants: 80 and 100 percent of a bound of their plan, or of a budget.";
    STRIPE_REQUESTS = "mainstem_stripe_requests_total", Counter,
        "Requests to Stripe, by outcome.";
    STRIPE_REPORTS = "mainstem_stripe_reports", Gauge,
        "Hours of metered usage in the outbox to Stripe, by state: `pending` or `stuck`.";
    STRIPE_EVENTS = "mainstem_stripe_events_total", Counter,
        "Events of Stripe's webhooks that were proven, by outcome.";
    PRESENCE_MEMBERS = "mainstem_presence_members", Gauge,
        "Members present, at all addresses together.";
    PRESENCE_CHANGES = "mainstem_presence_changes_total", Counter,
        "Changes of presence that were told to followers.";
    PRESENCE_EXPIRED = "mainstem_presence_leases_expired_total", Counter,
        "Devices that left because their lease was not renewed.";
    OCCUPANCY_TOLD = "mainstem_occupancy_events_total", Counter,
        "Addresses told as occupied or vacated.";
    DEMOTIONS = "mainstem_readers_demoted_total", Counter,
        "Live readers sent to the log because they were slow.";
    LEFT_OUT = "mainstem_records_left_out_total", Counter,
        "Records that subscriptions did not send, by what they asked for: condition, conflation.";
    DELTA_SAVED_BYTES = "mainstem_delta_saved_bytes_total", Counter,
        "Bytes of values that were not sent because differences were.";
    APPEND_SECONDS = "mainstem_append_seconds", Histogram,
        "Time from append to acknowledgement.";
    DELIVERY_SECONDS = "mainstem_delivery_seconds", Histogram,
        "Time from acknowledgement until every live connection of a thread has the records.";
    COMMITS = "mainstem_log_commits_total", Counter,
        "Group commits flushed to the device.";
    COMMIT_SECONDS = "mainstem_log_commit_seconds", Histogram,
        "Time of one commit's write and flush.";
    COMMIT_BYTES = "mainstem_log_commit_bytes_total", Counter,
        "Bytes written by commits, padding included.";
    BACKUP_LAST = "mainstem_backup_last_timestamp_seconds", Gauge,
        "Moment up to which the newest backup made by this process reaches.";
    BACKUP_BYTES = "mainstem_backup_last_bytes", Gauge,
        "Bytes that the newest backup added to its place.";
    BACKUP_DURATION = "mainstem_backup_seconds", Histogram,
        "Time of a backup, failed ones included.";
    BACKUP_FAILURES = "mainstem_backup_failures_total", Counter,
        "Backups that failed or were cancelled.";
    LOG_BYTES = "mainstem_log_stored_bytes", Gauge,
        "Bytes held by extents that are not in the pool.";
    DISK_FREE_BYTES = "mainstem_disk_free_bytes", Gauge,
        "Bytes that are free in the file system of the log.";
    DISK_FREE_RATIO = "mainstem_disk_free_ratio", Gauge,
        "Share of the log's file system that is free, 0 to 1.";
    AUDIT_RECORDS = "mainstem_audit_records_total", Counter,
        "Audit records brought to the log, by outcome of what they tell.";
    AUDIT_PENDING = "mainstem_audit_pending", Gauge,
        "Audit records that are not in the log yet.";
    AUDIT_SHIPPED = "mainstem_audit_shipped_total", Counter,
        "Audit records brought to a receiver outside, by sink.";
    AUDIT_SHIP_FAILURES = "mainstem_audit_ship_failures_total", Counter,
        "Attempts to bring audit records to a receiver outside that failed, by sink.";
    AUDIT_SHIP_LAG = "mainstem_audit_ship_lag_records", Gauge,
        "Audit records that a receiver outside does not have yet, by sink.";
    AUDIT_SHIP_LOST = "mainstem_audit_ship_lost_total", Counter,
        "Audit records that retention removed before a receiver outside had them, by sink.";
    APPROVALS = "mainstem_approvals_total", Counter,
        "Acts that wait, or waited, for a second person, by outcome.";
    APPROVALS_WAITING = "mainstem_approvals_waiting", Gauge,
        "Acts that wait for somebody to decide.";
    ALERTS = "mainstem_alerts", Gauge,
        "Alerts, by state (`pending`, `firing`) and severity.";
    ALERT_NOTICES = "mainstem_alert_notices_total", Counter,
        "Attempts to tell people of alerts, by channel kind and outcome.";
    ALERT_ROUND_SECONDS = "mainstem_alert_round_seconds", Histogram,
        "Time to look at all alert rules once.";
    ALERT_RULES = "mainstem_alert_rules", Gauge,
        "Alert rules that are on.";
    SECURITY_FINDINGS = "mainstem_security_findings", Gauge,
        "What the security checks find and nobody has accepted, by severity.";
    SECURITY_ACCEPTED = "mainstem_security_findings_accepted", Gauge,
        "What the security checks find and somebody has accepted until a day.";
    SECURITY_ANOMALIES = "mainstem_security_anomalies_total", Counter,
        "What was odd in the audit trail and was written down there, by rule.";
    SECURITY_LOOK_SECONDS = "mainstem_security_look_seconds", Histogram,
        "Time of one look of the security checks at everything.";
    LOG_EXTENTS = "mainstem_log_extents", Gauge,
        "Extents, by state.";
    LOG_FAILED = "mainstem_log_failed", Gauge,
        "1 when the log takes no more appends.";
    KEYS_TENANTS = "mainstem_keys_tenants", Gauge,
        "Tenants in the key ring, by state: `live` or `shredded`.";
    KEYS_ROTATIONS = "mainstem_keys_rotations_total", Counter,
        "Rotations that ended, by key: `root` or `tenant`.";
    KEYS_SHREDDED = "mainstem_keys_shredded_total", Counter,
        "Tenants whose keys were destroyed.";
    KEYS_REFUSED = "mainstem_keys_refused_total", Counter,
        "Data keys that were asked for and not given, by reason.";
    KEYS_FAILED = "mainstem_keys_failed", Gauge,
        "1 when the key ring could not be written the last time.";
    CONSUMER_DELIVERIES = "mainstem_consumer_deliveries_total", Counter,
        "Records leased by durable consumers.";
    CONSUMER_REDELIVERIES = "mainstem_consumer_redeliveries_total", Counter,
        "Records leased that had been delivered before.";
    CONSUMER_EXPIRED = "mainstem_consumer_expired_records_total", Counter,
        "Records that retention removed before a durable consumer had done with them.";
    CONSUMER_LAG = "mainstem_consumer_lag_records", Gauge,
        "Records a durable consumer has not acknowledged, by tenant, topic and consumer.";
    CONSUMER_PENDING = "mainstem_consumer_pending_records", Gauge,
        "Records given to a durable consumer and not acknowledged, by tenant, topic, consumer.";
    DEAD_LETTERS = "mainstem_dead_letters_total", Counter,
        "Records moved to dead-letter topics.";
    LOG_COLLECTED = "mainstem_log_collector_runs_total", Counter,
        "Extents the collector wrote in place of others.";
    LOG_REWRITTEN_BYTES = "mainstem_log_collector_rewritten_bytes_total", Counter,
        "Bytes of extents the collector wrote.";
    LOG_FREED_BYTES = "mainstem_log_collector_freed_bytes_total", Counter,
        "Bytes the collector gave back, without those it wrote.";
    LOG_LIVE_BYTES = "mainstem_log_live_bytes", Gauge,
        "Bytes of sealed extents that somebody needs, as last seen by the collector.";
    LOG_DEAD_BYTES = "mainstem_log_dead_bytes", Gauge,
        "Bytes of sealed extents that nobody needs, as last seen by the collector.";
    LOG_COLLECTED_AT = "mainstem_log_collector_looked_seconds", Gauge,
        "When the collector last looked for extents worth rewriting, in seconds since 1970.";
    LOG_IDS = "mainstem_log_ids", Gauge,
        "Record ids remembered against duplicates.";
    LOG_IDS_BYTES = "mainstem_log_ids_memory_bytes", Gauge,
        "Memory of the record ids, the filters of those in files included.";
    LOG_IDS_FORGOTTEN = "mainstem_log_ids_forgotten_total", Counter,
        "Record ids forgotten before their window was over.";
    DUPLICATES = "mainstem_records_duplicate_total", Counter,
        "Records not stored again because their id was seen before.";
    TRANSACTIONS_OPEN = "mainstem_log_transactions_open", Gauge,
        "Transactions that are open.";
    TRANSACTIONS = "mainstem_log_transactions_total", Counter,
        "Transactions ended, by outcome.";
    LOG_HELD_BYTES = "mainstem_log_held_bytes", Gauge,
        "Stored records that wait for a transaction to be decided.";
    AUTH_FAILURES = "mainstem_authentication_failures_total", Counter,
        "Credentials refused, by code.";
    TOKEN_REVOCATIONS = "mainstem_token_revocations", Gauge,
        "Revocations of tokens held in memory, of all projects together.";
    TOKENS_REVOKED_REFUSED = "mainstem_revoked_tokens_refused_total", Counter,
        "Tokens refused because they were taken back.";
    ACL_DECISIONS = "mainstem_acl_decisions_total", Counter,
        "Questions to access lists, by result: `allowed`, `denied`, `unspoken` (no entry allows).";
    ACL_CACHED = "mainstem_acl_cached_total", Counter,
        "Questions to access lists that were answered from memory.";
    ACL_COMPILE_SECONDS = "mainstem_acl_compile_seconds", Histogram,
        "Time to compile an access list after a change.";
    ACL_ENDED = "mainstem_acl_subscriptions_ended_total", Counter,
        "Open subscriptions that a change of an access list ended.";
    ROLE_CONDITIONS_UNMET = "mainstem_role_conditions_unmet_total", Counter,
        "Requests that a role would allow if its conditions held, by condition.";
    SIGN_INS = "mainstem_sign_ins_total", Counter,
        "Attempts of users to sign in, by outcome.";
    LETTERS = "mainstem_letters_total", Counter,
        "Attempts to send mail to users, by outcome.";
    OUTBOX_PENDING = "mainstem_outbox_pending", Gauge,
        "Changes of the control plane that are not in the log yet.";
    OUTBOX_AGE_SECONDS = "mainstem_outbox_age_seconds", Gauge,
        "Age of the oldest change that is not in the log yet.";
    OUTBOX_PUBLISHED = "mainstem_outbox_published_total", Counter,
        "Changes of the control plane brought to the log.";
    OUTBOX_FAILURES = "mainstem_outbox_failures_total", Counter,
        "Times that a destination of changes refused and was put off.";
    WEBHOOKS = "mainstem_webhooks", Gauge,
        "Webhooks that this node delivers for.";
    WEBHOOK_ATTEMPTS = "mainstem_webhook_attempts_total", Counter,
        "Requests to endpoints of webhooks, by outcome.";
    WEBHOOK_SECONDS = "mainstem_webhook_seconds", Histogram,
        "Time from a request to a webhook's endpoint to its answer.";
    WEBHOOK_BREAKERS_OPEN = "mainstem_webhook_breakers_open", Gauge,
        "Endpoints of webhooks that rest because they failed again and again.";
    WEBHOOK_BACKLOG = "mainstem_webhook_backlog", Gauge,
        "Records that wait to be delivered by webhooks, those to be tried again included.";
}
