//! Properties 13 and 14: streams are counted, bounded, and given back at once.

use super::{Client, Stage};
use proptest::prelude::*;
use types::Limits;

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// One thing clients do.
#[derive(Debug, Clone)]
enum Step {
    Open,
    Read(prop::sample::Index),
    Leave(prop::sample::Index),
    Publish,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => Just(Step::Open),
        1 => any::<prop::sample::Index>().prop_map(Step::Read),
        2 => any::<prop::sample::Index>().prop_map(Step::Leave),
        1 => Just(Step::Publish),
    ];
    prop::collection::vec(step, 1..24)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    /// **Feature: realtime-saas-platform, Property 13: SSE connections per tenant stay within
    /// quota**
    ///
    /// **Feature: realtime-saas-platform, Property 14: a departing SSE client frees its resources
    /// and the connection count stays accurate**
    #[test]
    fn streams_are_counted_exactly(steps in steps(), quota in 1u32..5) {
        block_on(async {
            let stage = Stage::new();
            let limits = Limits { sse_connections_max: Some(quota), ..Limits::default() };
            stage.hub.set_limits(stage.place, limits);
            let mut clients: Vec<Client> = Vec::new();
            for step in steps {
                match step {
                    Step::Open => {
                        let client = stage.open("topics=t&from=earliest").await;
                        if clients.len() < quota as usize {
                            prop_assert_eq!(client.status.as_u16(), 200);
                            clients.push(client);
                        } else {
                            prop_assert_eq!(client.status.as_u16(), 429);
                            let error = client.refusal().await;
                            prop_assert_eq!(&error["error"]["code"], "PROJECT_LIMIT_EXCEEDED");
                        }
                    }
                    Step::Read(at) if !clients.is_empty() => {
                        let index = at.index(clients.len());
                        // The first frame is always there.
                        if clients[index].frames == 0 {
                            clients[index].more().await.unwrap();
                        }
                    }
                    Step::Leave(at) if !clients.is_empty() => {
                        clients.swap_remove(at.index(clients.len()));
                    }
                    Step::Publish => stage.append("t", None, "1").await,
                    Step::Read(_) | Step::Leave(_) => {}
                }
                prop_assert_eq!(stage.hub.connection_count(stage.place), clients.len());
                prop_assert_eq!(stage.hub.follower_count(stage.place), clients.len());
            }
            drop(clients);
            prop_assert_eq!(stage.hub.connection_count(stage.place), 0);
            prop_assert_eq!(stage.hub.follower_count(stage.place), 0);
            Ok(())
        })?;
    }
}
