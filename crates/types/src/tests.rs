//! What the plain data promises, as tables and properties.

mod address;
mod batch;
mod cursor;
mod filter;
mod scope;
mod thinned;
