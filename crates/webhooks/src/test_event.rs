//! The event that people send to see whether an endpoint works. It is not in the log and is tried
//! once.

use crate::envelope::moment;
use bytes::Bytes;
use serde_json::json;
use stdx::Rng;
use tenancy::WebhookId;
use types::TimestampMs;

/// `type` of the event.
pub(crate) const TEST_TYPE: &str = "webhook.test";

/// Its `webhook-id` and its body.
pub(crate) fn make(webhook: WebhookId, now_ms: TimestampMs, rng: &dyn Rng) -> (String, Bytes) {
    let message = format!("msg_test_{:016x}", rng.next_u64());
    let body = json!({
        "type": TEST_TYPE,
        "timestamp": moment(now_ms),
        "data": {"webhook": webhook.to_string(), "message": "it works"},
    });
    (message, body.to_string().into())
}
