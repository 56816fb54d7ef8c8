//! Tests of what the binary itself decides: configuration, reference pages,
//! what runs by itself.

mod configuration;
mod pages;
mod rounds;
