//! The contract of every protocol, over a real socket: the hub itself publishes, this face
//! receives.

use crate::{Config, LongPoll};
use port::{Mounts, Protocol};
use testkit::conformance::{MemoryStage, Scene};
use testkit::faces::{DirectFace, PollFace};
use testkit::served::Served;

async fn scene() -> Scene {
    let stage = MemoryStage::new();
    let mut mounts = Mounts::default();
    LongPoll::mount(Config::default(), &mut mounts).expect("the defaults are good");
    let served = Served::start(stage.hub.shared(), mounts).await;
    let receiver = PollFace::new(&served.base_url());
    let publisher = DirectFace::new(&stage.hub);
    stage.keep(served);
    Scene { stage, publisher, receiver }
}

testkit::conformance!(contract, scene());
