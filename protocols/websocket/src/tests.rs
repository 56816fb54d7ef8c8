//! Table tests without a socket, and the contract every protocol passes.
