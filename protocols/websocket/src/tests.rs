//! Table tests without a socket, and the contract every protocol passes.

mod binary;
mod corpus;
mod garbage;
mod json;
mod resume;
mod session;
mod shaping;
mod stage;
mod subscriptions;

use stage::json_scene;

testkit::conformance!(contract, json_scene());
