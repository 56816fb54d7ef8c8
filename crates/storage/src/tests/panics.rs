//! A source that panics ends the log with a word to everybody who waits.

use super::*;
use std::sync::mpsc;
use std::time::Duration;

/// Panics at its first outcome, and at the last one too when told so.
struct Panicking {
    script: Script,
    is_stubborn: bool,
    told: Mutex<mpsc::Sender<Result<usize, StoreError>>>,
}

impl Source for Panicking {
    fn gather(&self, group: &mut Group) {
        self.script.gather(group);
    }

    fn settled(&self, outcome: Result<&[Entry], &StoreError>) {
        let is_durable = outcome.is_ok();
        let told = outcome.map(<[Entry]>::len).map_err(Clone::clone);
        self.told.lock().send(told).expect("the test listens");
        assert!(!is_durable && !self.is_stubborn, "as the test wants it");
    }
}

#[test]
fn after_a_panic_the_source_is_told_that_the_log_failed() {
    for is_stubborn in [false, true] {
        let disk = SimDisk::shared(1);
        let (store, _) = Store::open(world(&disk), options(), &mut |_, _, _| {}).expect("opens");
        let (sender, receiver) = mpsc::channel();
        let script = Script::default();
        let source = Arc::new(Panicking { script, is_stubborn, told: Mutex::new(sender) });
        source.script.push(frame(0, 0, 100));
        let writer = store.start(source.clone());
        let next = || receiver.recv_timeout(Duration::from_secs(60)).expect("is told");
        assert_eq!(next(), Ok(1));
        let last = next();
        assert!(matches!(last, Err(StoreError::Failed(_))), "{last:?}");
        assert!(store.stats().failed.is_some());
        writer.stop();
        assert!(receiver.try_recv().is_err(), "nothing more");
    }
}
