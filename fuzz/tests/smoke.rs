//! Every fuzz target in one test binary: `cargo test -p fuzz` runs each briefly, and
//! `cargo bolero test -p fuzz <target> --sanitizer NONE` runs one for as long as one likes.

mod smoke {
    //! One file per codec or format.

    mod backups;
    mod batches;
    mod canary;
    mod checkpoints;
    mod conditions;
    mod cursors;
    mod frames;
    mod http_json;
    mod kafka;
    mod key_rings;
    mod link_frames;
    mod log_state;
    mod passkeys;
    mod tokens;
    mod webhooks;
    mod websocket_frames;
    mod websocket_protocol;
}
