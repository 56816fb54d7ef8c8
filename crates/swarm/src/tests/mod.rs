//! The arithmetic of the load, and its parsers against bytes cut anywhere.

mod arithmetic;
mod parsers;
