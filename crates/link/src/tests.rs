//! The codec and what is counted, by themselves. Owner and workers together are tested end to end
//! (`tests/e2e`): they are processes.

mod addresses;
mod codec;
mod figures;
mod whole;
