//! The rounds: what is measured is folded whether anybody scrapes or not, until the server stops.

use crate::rounds::{FOLD_EVERY, fold};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::watch;

#[tokio::test(start_paused = true)]
async fn measurements_are_folded_until_the_stop() {
    let count = Arc::new(AtomicU32::new(0));
    let (stop, stopped) = watch::channel(());
    let counted = Arc::clone(&count);
    let work = move || {
        counted.fetch_add(1, Ordering::Relaxed);
    };
    let round = tokio::spawn(fold(work, stopped));
    // The clock is paused: it moves when all tasks wait, and only for them.
    tokio::time::sleep(FOLD_EVERY * 3 + FOLD_EVERY / 2).await;
    assert_eq!(count.load(Ordering::Relaxed), 3);
    drop(stop);
    round.await.expect("the round ends with the server");
    assert_eq!(count.load(Ordering::Relaxed), 3);
}
