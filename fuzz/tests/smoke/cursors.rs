//! What a client sends to say where or what it reads: cursors, filters and topic names.

use types::{Filter, Positions, TopicName};

const ITERATIONS: usize = 3_000;

#[test]
fn cursors_of_any_bytes() {
    bolero::check!().with_iterations(ITERATIONS).with_type::<Vec<u8>>().for_each(|bytes| {
        let Some(positions) = Positions::decode(bytes) else { return };
        let mut again = Vec::new();
        positions.encode(&mut again);
        assert_eq!(Positions::decode(&again).as_ref(), Some(&positions));
        let mut merged = positions.clone();
        merged.merge(&positions);
        assert_eq!(merged, positions);
    });
}

#[test]
fn filters_and_names_of_any_text() {
    type Texts = (String, String, Vec<u8>);
    bolero::check!().with_iterations(ITERATIONS).with_type::<Texts>().for_each(
        |(filter, name, key)| {
            let name = TopicName::parse(name)
                .unwrap_or_else(|_| TopicName::parse("orders").expect("is a name"));
            assert_eq!(TopicName::parse(name.as_str()).as_ref(), Ok(&name));
            let Ok(filter) = Filter::parse(filter) else { return };
            filter.matches(&name, Some(key));
            filter.matches(&name, None);
            assert_eq!(Filter::parse(&filter.to_string()).as_ref(), Ok(&filter));
        },
    );
}
