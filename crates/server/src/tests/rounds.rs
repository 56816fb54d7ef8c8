//! The rounds: what is measured is folded whether anybody scrapes or not, until the server stops.

use crate::rounds::{FOLD_EVERY, fold};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

// The clock is paused: it moves on when all tasks wait for it.
#[tokio::test(start_paused = true)]
async fn measurements_are_folded_until_the_stop() {
    let started = Instant::now();
    let (done, mut folded) = mpsc::unbounded_channel();
    let (stop, stopped) = watch::channel(());
    // The receiver lives as long as the test.
    let work = move || done.send(Instant::now()).expect("somebody listens");
    let round = tokio::spawn(fold(work, stopped));
    for count in 1..=3 {
        let at = folded.recv().await.expect("the round goes on");
        assert!(at - started >= FOLD_EVERY * count);
        assert!(at - started < FOLD_EVERY * (count + 1));
    }
    drop(stop);
    round.await.expect("the round ends with the server");
    assert!(folded.recv().await.is_none(), "nothing is folded any more");
}
