//! When the writer waits for those who come abreast, and for how many.

use crate::Arrivals;
use crate::siblings::{Siblings, Wait};
use std::time::Duration;

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// A writer whose flushes take 2 ms, and what comes to it.
#[derive(Default)]
struct Scene {
    siblings: Siblings,
    appends: u64,
    now: Duration,
}

impl Scene {
    fn arrivals(&self) -> Option<Arrivals> {
        Some(Arrivals { appends: self.appends, bytes: 1_000 })
    }

    /// So many have come; what the writer waits for.
    fn come(&mut self, count: u64) -> Option<Wait> {
        self.appends += count;
        self.siblings.wait(self.arrivals(), self.now)
    }

    /// The group is written, and so many come meanwhile.
    fn flush(&mut self, meanwhile: u64) {
        self.siblings.gathers(self.arrivals(), self.now);
        self.now += ms(2);
        self.appends += meanwhile;
        self.siblings.settled(self.arrivals(), self.now);
    }

    /// Long enough for what a flush takes to be known.
    fn settle(&mut self) {
        for _ in 0..100 {
            self.come(1);
            self.flush(0);
        }
    }
}

#[test]
fn one_publisher_is_never_waited_for() {
    let mut scene = Scene::default();
    for _ in 0..50 {
        assert_eq!(scene.come(1), None);
        scene.flush(0);
    }
}

#[test]
fn those_out_of_step_are_brought_together() {
    let mut scene = Scene::default();
    scene.settle();
    // The first of five is alone, and the others come during its flush.
    assert_eq!(scene.come(1), None);
    scene.flush(4);
    let wait = scene.come(0).expect("the first was just answered");
    assert_eq!(wait.appends, scene.appends + 1);
    assert!(wait.longest > ms(2) / 5 && wait.longest <= ms(2) / 4, "{wait:?}");
    assert_eq!(scene.come(1), None, "all are here");
    scene.flush(0);
    assert!(scene.come(1).is_some());
    scene.flush(0);
    assert_eq!(scene.come(1), None, "they did not come: they are not waited for again");
}

#[test]
fn nobody_is_expected_after_a_rest_nor_where_enough_waits() {
    let mut scene = Scene::default();
    scene.settle();
    scene.come(1);
    scene.flush(4);
    assert!(scene.come(0).is_some());
    let many = Some(Arrivals { appends: scene.appends, bytes: crate::GROUP_BYTES_MAX });
    assert_eq!(scene.siblings.wait(many, scene.now), None);
    assert_eq!(scene.siblings.wait(None, scene.now), None, "where nobody counts");
    scene.now += ms(3);
    assert_eq!(scene.come(0), None);
}
