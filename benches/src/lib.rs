//! What the measuring programs in `src/bin` share. Nothing here is a test: figures depend on the
//! machine and on who else uses it, so each is printed beside a yardstick of the same run.

pub mod fanout;
pub mod ws;
