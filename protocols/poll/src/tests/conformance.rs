//! The contract of every protocol: the hub itself publishes, this face receives.

use super::face::RouterFace;
use super::router;
use std::sync::Arc;
use testkit::conformance::{MemoryStage, Scene};
use testkit::faces::DirectFace;

async fn scene() -> Scene {
    let stage = MemoryStage::new();
    let publisher = DirectFace::new(&stage.hub);
    let receiver = Arc::new(RouterFace(router(&stage.hub)));
    Scene { stage, publisher, receiver }
}

testkit::conformance!(contract, scene());
