//! The trail to an HTTP endpoint: a signed message for some records at a time. The message is named
//! by the first and last number in it, so a receiver knows it again.

use crate::config::HookSink;
use standard_webhooks::SigningKey;
use std::sync::Arc;
use std::time::Duration;
use tenancy::{AuditRecord, audit_text};
use webhooks::{Courier, Parcel};

const TIMEOUT: Duration = Duration::from_secs(20);
/// Records of one message.
const MESSAGE_RECORDS_MAX: usize = 50;

pub(super) struct HookPoster {
    url: String,
    key: SigningKey,
    courier: Arc<Courier>,
}

impl HookPoster {
    pub(super) fn new(sink: &HookSink, courier: Arc<Courier>) -> Result<HookPoster, String> {
        courier.check(&sink.url).map_err(|refusal| refusal.to_string())?;
        let shown = sink.secret_file.display();
        let text = std::fs::read_to_string(&sink.secret_file);
        let text = text.map_err(|error| format!("{shown}: {error}"))?;
        let key = SigningKey::parse(text.trim()).map_err(|error| format!("{shown}: {error}"))?;
        Ok(HookPoster { url: sink.url.clone(), key, courier })
    }

    pub(super) async fn post(&mut self, records: &[AuditRecord]) -> Result<(), String> {
        for chunk in records.chunks(MESSAGE_RECORDS_MAX) {
            let texts: Vec<(u64, String)> = chunk
                .iter()
                .filter_map(|record| {
                    let link = record.link.as_ref()?;
                    Some((link.sequence, audit_text(record, link)))
                })
                .collect();
            let (Some((first, _)), Some((last, _))) = (texts.first(), texts.last()) else {
                continue;
            };
            let message = format!("audit_{first}_{last}");
            let lines: Vec<&str> = texts.iter().map(|(_, text)| text.as_str()).collect();
            let records = lines.join(",");
            let body = format!("{{\"type\":\"audit.records\",\"records\":[{records}]}}");
            let parcel = Parcel {
                url: &self.url,
                message: &message,
                body: body.into(),
                key: Some(&self.key),
                timeout: TIMEOUT,
            };
            // Also what the endpoint says no to is kept and tried again: nothing is left out.
            self.courier.bring(parcel).await.map_err(|error| error.reason)?;
        }
        Ok(())
    }
}
