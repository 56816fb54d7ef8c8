//! What the hub tells its branches.

use super::{coded_enum, coded_struct};
use hub::branch::{Found, Joined, Lost, News, Prepared, Unread};

coded_struct! {
    Joined { id, tenant, project, name, created_at, config, next }
    Prepared { topics, positions, lost }
    Lost { topic, partition, from, to, why }
    Found { offset, timestamp, record }
}

coded_enum!(News {
    0 => Published { topic, partition, batch, age },
    1 => Missed { topic, partition, next },
    2 => Joined(joined),
    3 => Changed { topic, config },
    4 => Created(topic),
    5 => Ended(topic, why),
    6 => Followed { call, outcome },
    7 => Forbidden(numbers, why),
});
coded_enum!(Unread { 0 => Gone { start }, 1 => Refused(why) });
