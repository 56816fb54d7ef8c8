//! What the calls on durable consumers take and answer.

use super::{Coded, Input, Malformed, coded_enum, coded_struct};
use port::consumers::{
    ConsumerAddress, ConsumerInfo, ConsumerPosition, DeadLetter, DeadLetters, Fetch, Leased,
    ReplayTo, ResetTo, Settled, Settlement, Verdict, Which,
};
use types::consumer::Start;

impl Coded for Start {
    fn put(&self, out: &mut Vec<u8>) {
        self.to_string().put(out);
    }
    fn take(input: &mut Input) -> Result<Start, Malformed> {
        String::take(input)?.parse().map_err(|_| Malformed("not a start"))
    }
}

coded_struct! {
    ConsumerAddress { topic, name }
    Fetch { records_max, bytes_max, wait }
    Leased { delivery, deliveries, token, lease }
    Settlement { token, verdict }
    ConsumerPosition { partition, committed, next, end }
    ConsumerInfo {
        at, config, dead_letter_topic, created_at, partitions, lag, pending, retrying, held,
        dead_letters, active_at,
    }
    DeadLetter { delivery, reason, deliveries, topic, partition, offset, timestamp }
    DeadLetters { letters, next_cursor, is_end }
}

coded_enum!(Verdict {
    0 => Acknowledge,
    1 => Retry { delay, reason },
    2 => Extend,
    3 => Reject { reason },
});
coded_enum!(Settled {
    0 => Acknowledged,
    1 => Retries { delay },
    2 => Extended { lease },
    3 => Dead,
});
coded_enum!(ResetTo { 0 => Start(start), 1 => Positions(positions) });
coded_enum!(Which { 0 => Oldest(count), 1 => At(places) });
coded_enum!(ReplayTo { 0 => Topic, 1 => Consumer });
