//! The testkit's own tests: the memory hub passes the contract it stands in for.

mod memory_hub;

use crate::conformance::{MemoryStage, Scene, Stage};
use crate::faces::DirectFace;
use std::sync::Arc;

async fn direct_scene() -> Scene {
    let stage = MemoryStage::new();
    let face = DirectFace::new(&stage.hub);
    Scene::of(stage as Arc<dyn Stage>, face)
}

crate::conformance!(direct, direct_scene());
