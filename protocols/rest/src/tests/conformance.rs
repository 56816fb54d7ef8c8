//! The contract of every protocol, over a real socket: this face one way, the hub itself the
//! other.

use crate::{Config, Rest};
use port::{Mounts, Protocol};
use testkit::conformance::{MemoryStage, Scene};
use testkit::faces::{DirectFace, RestFace};
use testkit::served::Served;

async fn scene() -> Scene {
    let stage = MemoryStage::new();
    let mut mounts = Mounts::default();
    Rest::mount(Config::default(), &mut mounts).expect("the defaults are good");
    let served = Served::start(stage.hub.shared(), mounts).await;
    let face = RestFace::new(&served.base_url());
    let direct = DirectFace::new(&stage.hub);
    stage.keep(served);
    Scene { stage, publisher: face, receiver: direct }
}

testkit::conformance!(contract, scene());
