//! Each part by itself, Property 28, and the whole round on a real store against a real receiver.

mod engine;
mod notice;
mod property;
mod reading;
mod round;
