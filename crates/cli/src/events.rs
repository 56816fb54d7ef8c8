//! A reader of Server-Sent Events (WHATWG HTML, section 9.2): bytes in any pieces, events out.

/// One event as dispatched.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    pub id: Option<String>,
    pub name: String,
    pub data: String,
}

/// An event larger than this is not one of ours.
const EVENT_BYTES_MAX: usize = 16 * 1024 * 1024;

#[derive(Default)]
pub struct Reader {
    buffer: Vec<u8>,
    event: Event,
    has_data: bool,
    /// Milliseconds the server asked to wait before a reconnect.
    pub retry_ms: Option<u64>,
}

impl Reader {
    /// Takes bytes in; answers the events they complete.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<Event>, String> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() + self.event.data.len() > EVENT_BYTES_MAX {
            return Err("an event is larger than 16 MiB".to_owned());
        }
        let mut events = Vec::new();
        let mut start = 0;
        while let Some(length) = self.buffer[start..].iter().position(|&byte| byte == b'\n') {
            let line = &self.buffer[start..start + length];
            let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line));
            start += length + 1;
            if line.is_empty() {
                if self.has_data {
                    events.push(std::mem::take(&mut self.event));
                }
                self.event = Event::default();
                self.has_data = false;
            } else {
                let (field, value) = line.split_once(':').unwrap_or((&line, ""));
                let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
                let field = field.to_owned();
                self.field(&field, value);
            }
        }
        self.buffer.drain(..start);
        Ok(events)
    }

    fn field(&mut self, name: &str, value: String) {
        match name {
            "data" => {
                if self.has_data {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(&value);
                self.has_data = true;
            }
            "event" => self.event.name = value,
            "id" => self.event.id = Some(value),
            "retry" => self.retry_ms = value.parse().ok(),
            // A comment (empty name) or a field of a later version.
            _ => {}
        }
    }
}
