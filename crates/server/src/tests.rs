//! Tests of what the binary itself decides: configuration, reference pages.

mod configuration;
mod pages;
